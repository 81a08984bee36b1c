package wire

import (
	"slices"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// askJoined makes the tags of a load precise whose joins lead to rows that only the
// data tell: it asks for them on the load's own connection, and so with the
// client's rights (with those of its transaction, it cannot), after the label was taken and before the load is sent. What
// cannot be found out is depended on as a whole, as the tags of r already say.
// It reports true if the client cancelled its statement meanwhile.
func (s *session) askJoined(r *request) (interrupted bool) {
	v := r.slot.Verdict()
	if v == nil || !r.joins || !r.slot.Lookups.Worth() || s.talk.Owed() || !s.mayProbe() || s.known.Local() {
		return false
	}
	sql, ok := v.LookupSQL(r.params)
	if !ok {
		return false
	}
	s.cancels.passed.Store(false)
	row, answered := s.askRow(protocol.AppendMessage(nil, 'Q', []byte(sql), []byte{0}))
	switch {
	case !answered:
		return false
	case row != nil:
		r.slot.Lookups.Found(r.precise(v, row))
		return false
	}
	r.slot.Lookups.Failed()
	// The request was for the client's statement, and has hit this one.
	return s.cancels.passed.Load()
}

// precise takes over what a lookup found. It reports false if that was nothing, or
// in every table more than tags are made of.
func (r *request) precise(v *analysis.Verdict, row []byte) bool {
	columns, ok := protocol.DataRow(row)
	if !ok {
		return false
	}
	p := r.params
	if p.Joined, ok = v.ReadLookup(columns); !ok {
		return false
	}
	tags, ok := v.FenceTags(p)
	if !ok {
		return false
	}
	r.tags = tags
	return slices.ContainsFunc(columns, func(c []byte) bool { return c != nil })
}
