package wire

import (
	"bytes"
	"slices"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Of some joins only the data tell to which rows they lead. A lookup asks for them on the
// load's own connection, and so with the client's rights (with those of its transaction, it
// cannot), after the label was taken. It is sent right before the load, in the same flight: so
// a load takes no round trip more for it. What it does not find out is depended on as a whole,
// as the tags of the request already say.
//
// A cancel request may meet it instead of the load, which it was meant for:
//
//  1. a lookup and its load are sent;
//  2. the client sends a cancel request, which ends the lookup;
//  3. Postgres executes the load, for as long as it takes.
//
// So when a lookup has failed since a cancel request was passed on, Postgres is asked again to
// cancel, before the client is shown anything more: what the request meets is the load, or a
// server that has nothing to do. Forced by TestCancelDuringALookupEndsItsLoad.

// sendLookup sends the lookup of a load that is to be sent next, if there is one that may make
// its tags precise. That it could not be sent shows when the load is.
func (s *deciding) sendLookup(r *request, c *answer.Capture) {
	v := r.slot.Verdict()
	if v == nil || !r.joins || !r.slot.Lookups.Worth() || s.talk.Owed() || !s.mayProbe() || s.known.Local() {
		return
	}
	sql, ok := v.LookupSQL(r.params)
	if !ok {
		return
	}
	params, lookups := keptParams(r.params), &r.slot.Lookups
	s.cancels.passed.Store(false)
	s.talk.OweLookup(func(row []byte) {
		if row == nil {
			lookups.Failed()
			return
		}
		tags, precise := tagsFound(v, params, row)
		if tags != nil {
			c.Tags = append(c.Tags[:0], tags...)
		}
		lookups.Found(precise)
	})
	s.statements.SimpleQuery(statements.AskedHere)
	s.db.counters.UpstreamProbes.Add(1)
	_ = s.sendUpstream(protocol.AppendMessage(nil, 'Q', []byte(sql), []byte{0}))
}

// keptParams are parameters whose bound values are kept, where those of a unit last until the next.
func keptParams(p analysis.Params) analysis.Params {
	bound := make([]analysis.Value, len(p.Bound))
	for i, v := range p.Bound {
		v.Data = bytes.Clone(v.Data)
		bound[i] = v
	}
	p.Bound = bound
	return p
}

// tagsFound are the tags with what a lookup found, nil if it cannot be read. precise is false if
// that was nothing, or in every table more than tags are made of.
func tagsFound(v *analysis.Verdict, p analysis.Params, row []byte) (tags []fence.Tag, precise bool) {
	columns, ok := protocol.DataRow(row)
	if !ok {
		return nil, false
	}
	if p.Joined, ok = v.ReadLookup(columns); !ok {
		return nil, false
	}
	if tags, ok = v.FenceTags(p); !ok {
		return nil, false
	}
	return tags, slices.ContainsFunc(columns, func(c []byte) bool { return c != nil })
}
