package wire

import (
	"slices"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A group of several reads may find the first ones in memory, and one behind them nowhere.
// To Postgres they are one transaction, but in READ COMMITTED each statement sees what was
// committed before it began. So the first ones are answered, as if their group had ended
// there, and what is behind them is a group of its own, which goes to Postgres in one piece
// and is captured. Its Sync ends both. (TestFirstReadsOfAGroupAreAnsweredFromMemory)

// maySplit reports whether the first wants of a group, those that have their entry, may be
// answered by themselves. All others have to be reads: VACUUM, for example, fails behind
// another statement of its group.
func (s *deciding) maySplit() bool {
	p := &s.plan
	if p.found == 0 || p.found == len(p.wants) || p.simple || p.part || p.controls || p.namesPortals || s.talk.MidGroup() {
		return false
	}
	for i := range p.wants[p.found:] {
		if !analysis.BeginsLikeRead(p.wants[p.found+i].prepared.Statement.SQL) {
			return false
		}
	}
	return true
}

// answerFirst answers the first wants of a group, which have their entries, and deals with
// the rest.
func (s *session) answerFirst(unit []byte, wants int, how Outcome) error {
	found := slices.Clone(s.plan.wants[:wants])
	first, rest := cutWants(unit, wants)
	s.planGroup(first)
	for i := range found {
		w := &s.plan.wants[i]
		w.entry, w.state, w.settled = found[i].entry, found[i].state, found[i].settled
	}
	if err := s.answerGroup(first, how); err != nil {
		return err
	}
	s.statements.BeginUnit(rest)
	return s.handleGroup(rest)
}

// cutWants cuts a group behind its first wants.
func cutWants(unit []byte, wants int) (first, rest []byte) {
	n := 0
	for kind, message := range protocol.Messages(unit) {
		n += len(message)
		if kind == 'E' || kind == 'D' && message[protocol.HeaderLength] == 'S' {
			wants--
		}
		if wants == 0 {
			break
		}
	}
	return unit[:n], unit[n:]
}
