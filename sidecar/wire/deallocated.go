package wire

import (
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// SQL can end the prepared statements that a client made by the protocol, and
// give their names to others. The tag of a command tells that it may have; then
// the names are asked for before one of them is used.

// forwardDeallocate sends on what ends one prepared statement. It changes nothing
// else, nor does it belong to a transaction: it is the same before a BEGIN that is
// held back. The name is forgotten whatever becomes of it: to know less of a
// statement is never wrong.
func (s *sending) forwardDeallocate(unit []byte, name string) error {
	s.statements.Forget(name)
	s.db.counters.bypass(reasons.NotSelect, 1)
	s.expectUnit(conversation.Expectation{Kind: conversation.Query, Harmless: true, Named: true, Change: s.statements.SimpleQuery(statements.AskedByClient)})
	s.db.counters.UpstreamQueries.Add(1)
	return s.sendUpstream(unit)
}

// checkNames makes known which names still stand, before a group that uses one
// is answered. It says why the group cannot be answered.
func (s *sending) checkNames(unit []byte) string {
	if !s.plan.named || !s.talk.NamesDoubtful() {
		return ""
	}
	if reason := s.refreshState(); reason != "" {
		return reason
	}
	s.planGroup(unit)
	return s.plan.reason
}

// adoptNames forgets the statements that are gone.
func (u *understanding) adoptNames(names map[string]bool) {
	if names == nil {
		return
	}
	u.statements.Keep(names)
	u.talk.NamesKnown()
}
