package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// askRow asks Postgres for one row with a query of the sidecar's own, unseen by
// the client, and waits for it. Nothing else may be owed, and mayProbe must hold.
// row is nil if the query failed; answered is false if the session ends instead.
func (a *asking) askRow(query []byte) (row []byte, answered bool) {
	a.talk.OweRow()
	a.statements.SimpleQuery(statements.AskedHere)
	a.db.counters.UpstreamProbes.Add(1)
	if a.sendUpstream(query) != nil || a.flushUpstream() != nil {
		return nil, false
	}
	asked := fence.Now()
	row, err := a.talk.AwaitRow()
	a.db.counters.times.upstream[upstreamProbes].Observe(fence.Now().Sub(asked), 1)
	return row, err == nil
}
