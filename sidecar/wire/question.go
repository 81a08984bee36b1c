package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// askRow asks Postgres for one row with a query of the sidecar's own, unseen by
// the client, and waits for it. Nothing else may be owed, and mayProbe must hold.
// row is nil if the query failed; answered is false if the session ends instead.
func (s *session) askRow(query []byte) (row []byte, answered bool) {
	s.talk.OweRow()
	s.statements.SimpleQuery(statements.AskedHere)
	s.server.counters.UpstreamProbes.Add(1)
	if s.sendUpstream(query) != nil || s.flushUpstream() != nil {
		return nil, false
	}
	asked := fence.Now()
	row, err := s.talk.AwaitRow()
	s.server.counters.times.upstream[upstreamProbes].Observe(fence.Now().Sub(asked), 1)
	return row, err == nil
}
