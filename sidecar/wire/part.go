package wire

import (
	"bytes"

	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// A client may ask for what there is by a Flush, and send the Sync of its group later: behind
// each fetch from a cursor, as node-postgres does, or at the end of a pipeline, as libpq does.
// To Postgres the group is one transaction; but in READ COMMITTED each of its reads sees what
// was committed before it was bound. So a part of a group is answered, or loaded and captured,
// like a group, as long as Postgres owes nothing of its parts before and these have changed
// nothing. What is answered Postgres never hears of, and no Sync either if it has heard of no
// part.
//
// Three rules are a part's own:
//
//   - Nobody waits for its loads, which are kept when the Sync has come: that may be long.
//   - While Postgres has a part, nothing is asked of it, and a hit needs a look that began
//     after the part was shown (see conversation.Stand).
//   - Postgres goes by the rights that it has locked its tables under until the Sync comes, as in
//     a transaction: what others define meanwhile soils the session, and so nothing is captured
//     behind it (see openblock.go). Forced by TestReadUnderOlderRightsOfAnOpenGroupIsKeptForNobody.

// endsInFlush reports whether the last message of a unit is a Flush.
func endsInFlush(unit []byte) bool {
	if !bytes.HasSuffix(unit, flushMessage) {
		return false
	}
	last := byte(0)
	for kind := range protocol.Messages(unit) {
		last = kind
	}
	return last == 'H'
}

// handlePart answers a part of a group, which has no Sync, or passes it on.
func (s *session) handlePart(unit []byte) error {
	obstacle := s.obstacle()
	if handled, err := s.planOrReadOn(unit, obstacle); handled {
		return err
	}
	p := &s.plan
	if obstacle == "" {
		s.beCertain(unit)
	}
	if !p.part {
		s.bypassUntimed(p.countedFor(reasons.OpenGroup), p.executions)
		return s.forwardGroup(unit, p.runsNothing())
	}
	d := s.decide(unit, obstacle)
	if d.reason == "" && p.awaits() {
		p.executions++
	}
	switch {
	case d.answered:
		return s.answer(unit, d.outcome)
	case d.reason != "":
		s.bypassUntimed(p.countedFor(d.reason), p.executions)
	default:
		for i := range p.wants {
			if c := p.wants[i].capture; c != nil {
				c.ToItsEnd = p.freely
			}
		}
		s.countMisses()
	}
	left := boundRead{is: d.harmless && p.leavesBound(), reason: d.reason}
	if left.is {
		last := &p.wants[len(p.wants)-1]
		left.name, left.capture = string(last.portal), last.capture
	}
	if err := s.forwardGroup(unit, d.harmless); err != nil {
		return err
	}
	s.ahead.bound = left
	if c, u := left.capture, s.statements.Bound(); c != nil && p.awaits() {
		p.wants[len(p.wants)-1].capture = nil // it is the conversation's with the Execute that comes
		if u != nil && c.Form().DescribesNothing() {
			c.Told = &u.Told
		}
	}
	return nil
}

// planOrReadOn makes the plan of a unit, unless the unit reads on what was answered or bound
// before: then that is done with it.
func (s *session) planOrReadOn(unit []byte, obstacle string) (handled bool, err error) {
	if obstacle == "" && s.ahead.mayReadOn(unit) {
		return true, s.readOn(unit)
	}
	s.planGroup(unit)
	if s.ahead.continues(unit) {
		return true, s.forwardFetch(unit)
	}
	return false, nil
}

// awaits reports whether the part binds a portal whose Execute has yet to come.
func (p *plan) awaits() bool { return len(p.wants) > 0 && p.wants[len(p.wants)-1].awaits }

// leavesBound reports whether the part leaves a portal, bound last, that may be read on.
func (p *plan) leavesBound() bool {
	if len(p.wants) == 0 || p.reason != "" {
		return false
	}
	last := &p.wants[len(p.wants)-1]
	return !last.closed && (last.awaits || last.first != 0)
}

// forwardFetch sends on what fetches rows of a read that Postgres has bound for a part before.
func (s *session) forwardFetch(unit []byte) error {
	if reason := s.ahead.bound.reason; reason != "" {
		s.bypassUntimed(reason, s.plan.executions)
	}
	return s.forwardGroup(unit, true)
}
