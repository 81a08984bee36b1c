package wire

import (
	"slices"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// lookupLoadsMin is from which load of a shape on the rows joined to are looked
// up: a lookup is a round trip more, and a shape that is loaded once has no use
// for tags that are more precise.
const lookupLoadsMin = 2

// lookupVainMax is after how many failures a shape is looked up no more, until the
// schema changes: each may be an error in Postgres' log. A role may have no right
// to read by itself what a view shows it.
const lookupVainMax = 3

// lookupCrowdedMax is after how many lookups in a row that found more rows than
// tags are made of only each lookupCrowdedEach-th load is looked up: the statement
// may always lead to that many, and reading them costs what the load costs.
const (
	lookupCrowdedMax  = 3
	lookupCrowdedEach = 64
)

// worthLookup counts a load whose joins could be looked up, and reports whether it
// is to be.
func (s *verdictSlot) worthLookup() bool {
	loads := s.loads.Add(1)
	crowded := s.crowded.Load() >= lookupCrowdedMax && loads%lookupCrowdedEach != 0
	return loads >= lookupLoadsMin && s.vain.Load() < lookupVainMax && !crowded
}

// askJoined makes the tags of a load precise whose joins lead to rows that only the
// data tell: it asks for them on the load's own connection, and so with the
// client's rights, after the label was taken and before the load is sent. What
// cannot be found out is depended on as a whole, as the tags of r already say.
// It reports true if the client cancelled its statement meanwhile.
func (s *session) askJoined(r *request) (interrupted bool) {
	v := r.slot.verdict
	if v == nil || !r.joins || !r.slot.worthLookup() || s.talk.owed() || !s.mayProbe() {
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
		if r.precise(v, row) {
			r.slot.crowded.Store(0)
		} else {
			r.slot.crowded.Add(1)
		}
		return false
	}
	r.slot.vain.Add(1)
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
