package wire

import (
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// passage is what is known of a unit that goes to Postgres.
type passage struct {
	// harmless is set if it leaves the session's settings, and its names of statements, as
	// they are.
	harmless bool
	// writes, unless nil, is what it may write, by the analysis.
	writes *shapes.Effect
}

// reads reports whether a unit is known to do nothing but read.
func (p passage) reads() bool { return p.harmless && p.writes == nil }

// forwardQuery sends a simple Query or a FunctionCall upstream.
func (s *sending) forwardQuery(unit []byte, known passage, c *answer.Capture) error {
	if !known.harmless {
		s.noteMayChange()
		if err := s.catchUpInBlock(); err != nil {
			return err
		}
	}
	along := false
	if s.block.Held && (c == nil || s.block.HoldsSettings()) {
		var err error
		if along, err = s.openFor(unit); err != nil {
			return err
		}
	}
	if !known.reads() {
		if err := s.makeAhead(); err != nil {
			return err
		}
		if err := s.provideShown(unit, 0); err != nil {
			return err
		}
	}
	e := conversation.Expectation{Kind: conversation.Query, Harmless: known.harmless, Capture: c, Effect: known.writes}
	if unit[0] == 'Q' {
		if !known.harmless {
			s.statements.MayExecuteIn(unit, len(unit) < transport.BufferLengthMax)
		}
		if !known.reads() && e.Effect == nil {
			if text, rest, ok := protocol.CutString(unit[protocol.HeaderLength:]); ok && len(rest) == 0 {
				e.Effect = effectOfText(string(text))
			}
		}
		if !known.reads() && s.plan.simple {
			e.Done = s.proven.proves(s.plan.wants[0].prepared.Statement.Control)
		}
		e.Change = s.statements.SimpleQuery(statements.AskedByClient)
	}
	s.expectUnit(e)
	s.db.counters.UpstreamQueries.Add(1)
	if err := s.sendUpstream(unit); err != nil || !along {
		return err
	}
	s.expectUnit(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Harmless: true})
	return s.sendUpstream(syncMessage)
}

// expectUnit notes that Postgres owes the answer to a whole unit.
func (a *asking) expectUnit(e conversation.Expectation) {
	e.InBlock = a.block.Held && !e.Quiet
	a.talk.OweUnit(e)
}

// outsideBlock reports whether a group may go to Postgres before the BEGIN that is
// held back: a read that is to be captured, and what only prepares statements.
func (s *sending) outsideBlock(unit []byte) bool {
	if kind, _ := protocol.NextUnit(unit); kind != protocol.UnitGroup || s.talk.FailedBlock() {
		return false
	}
	if s.known.Local() {
		return false // the role and the search path of the block decide what its texts mean
	}
	loads := false
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		if w.whole {
			return false // its portal may be left suspended, and read on in the block
		}
		loads = loads || w.capture != nil
	}
	if loads {
		return !s.block.HoldsSettings()
	}
	return s.plan.runsNothing() && !(s.plan.asksPortals && len(s.portals.due(&s.plan)) > 0)
}

// shownByExecuted is what the statements ask for that a group executes and that were
// prepared before.
func (p *plan) shownByExecuted() (asked shown) {
	for i := range p.wants {
		if u := p.wants[i].prepared; u != nil && u.Statement != nil && u.Statement.SpeaksOfUs {
			asked |= shownBy([]byte(u.Statement.SQL))
		}
	}
	return asked
}

// nextCapture returns what the message at hand contributes to, the capture of the
// first want; done says that the message is the want's last. Then the capture is the
// conversation's, and may be another session's when its answer has come.
func nextCapture(wants *[]want, done bool) *answer.Capture {
	if len(*wants) == 0 {
		return nil
	}
	c := (*wants)[0].capture
	if done {
		(*wants)[0].capture = nil
		*wants = (*wants)[1:]
	}
	return c
}

func (s *sending) forwardParse(message, body []byte, m *statements.Meaning) error {
	name, rest, ok := protocol.CutString(body)
	if !ok {
		name = nil // Postgres will say what is wrong with it
	}
	statement, _ := s.statements.Intern(rest)
	p := &statements.Prepared{Statement: statement}
	s.statements.ParsedUnder(p, m)
	if len(name) == 0 {
		p.Parse = append([]byte(nil), message...)
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Parse, Prepared: p, Change: s.statements.Bind(string(name), p), Meaning: m})
	return s.sendUpstream(message)
}

// forwardClose forgets what a Close closes.
func (s *sending) forwardClose(body []byte) {
	e := conversation.Expectation{Kind: conversation.Close}
	if len(body) > 1 && body[0] == 'S' {
		if name, _, ok := protocol.CutString(body[1:]); ok {
			e.Change = s.statements.Bind(string(name), nil)
		}
	}
	s.talk.Owe(e)
}

// forwardBind sends a Bind. wants begin with what it is bound for.
func (s *sending) forwardBind(message, body []byte, m *statements.Meaning, wants []want, writes *shapes.Effect) error {
	name, ok := protocol.StatementOfBind(body)
	if err := s.provideUnnamed(name, ok, m); err != nil {
		return err
	}
	p := s.statements.BindTo(name)
	if p != nil {
		s.statements.PlannedUnder(p, m)
		told := p.Told.Load()
		describedAnew := s.plan.reason == "" && len(wants) > 0 && wants[0].described && told != nil && told.Params == digest.Digest{}
		if !describedAnew {
			if changed, err := s.confirmTold(string(name), p); err != nil {
				return err
			} else if changed {
				return s.refuseChanged(conversation.Bind, told)
			}
		}
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Bind, Prepared: p, Meaning: m, Effect: writes})
	return s.sendUpstream(message)
}

// forwardDescribe sends a Describe, with the capture of the first want. portal was bound last.
func (s *sending) forwardDescribe(message, body []byte, m *statements.Meaning, wants *[]want, portal []byte) error {
	name, ofStatement := protocol.StatementOfDescribe(body)
	if err := s.provideUnnamed(name, ofStatement, m); err != nil {
		return err
	}
	// A portal's description belongs to the execution that follows.
	statement := len(body) > 0 && body[0] == 'S'
	e := conversation.Expectation{Kind: conversation.Describe, Statement: statement, Capture: nextCapture(wants, statement)}
	switch {
	case ofStatement:
		e.Prepared = s.statements.Named(name)
		s.statements.LookedAtUnder(e.Prepared, m)
		if p := e.Prepared; p != nil && p.ToldHere() {
			told := p.Told.Load()
			changed, err := s.confirmTold(string(name), p)
			if err != nil || changed {
				e.Capture.SpoilIfAny()
			}
			if err != nil {
				return err
			} else if changed {
				return s.refuseChanged(conversation.Describe, told)
			}
		}
	case describes(body, portal):
		e.Prepared = s.statements.Bound()
	}
	s.talk.Owe(e)
	return s.sendUpstream(message)
}

// provideUnnamed makes Postgres' unnamed statement the one that the client
// believes it to be, before a message that names it (name is empty then).
func (s *sending) provideUnnamed(name []byte, ok bool, m *statements.Meaning) error {
	if !ok || len(name) > 0 {
		return nil
	}
	owed := s.talk.Owed()
	if !owed {
		// What became of the messages before may just have been heard:
		//
		//  1. Postgres holds the unnamed statement A. A group whose Parse of B is skipped,
		//     and a Bind, come together; the group is sent.
		//  2. Before the Bind is looked at, nothing was heard yet, and nothing taken back.
		//  3. Now it is heard that the group has failed: nothing is owed any more.
		//
		// B would be parsed here, and bound. Forced by TestBindBehindASkippedParseUsesTheStatementBefore.
		s.takeBack()
	}
	p := s.statements.Unnamed()
	switch {
	case p == nil && s.statements.Holds(nil):
		return nil
	case p == nil:
		s.talk.Owe(conversation.Expectation{Kind: conversation.Close, Hidden: true, Change: s.statements.Provide(nil)})
		return s.sendUpstream(closeUnnamed)
	case s.statements.Holds(p) && p.Accepted.Load():
		return nil
	case p.Parse == nil || p.Failed.Load():
		return nil // it went upstream at once, and Postgres knows what became of it
	}
	if s.statements.Holds(p) && owed {
		return nil // its Parse is on the way
	}
	return s.sendParse(p, m, false)
}

var closeUnnamed = protocol.AppendMessage(nil, 'C', []byte("S\x00"))

// forwardCopy sends on a piece of copied data, or their end.
func (s *sending) forwardCopy(unit []byte) error {
	if unit[0] != 'd' {
		s.talk.Owe(conversation.Expectation{Kind: conversation.CopyEnd})
	}
	return s.sendUpstream(unit)
}

// forwardLong sends the beginning of one message that is longer than the
// buffer; the caller sends the rest.
func (s *sending) forwardLong(beginning []byte) error {
	body := beginning[protocol.HeaderLength:]
	s.plan.readNothing()
	s.noteMayChange()
	if err := s.catchUp(); err != nil {
		return err
	}
	if err := s.makeAhead(); err != nil {
		return err
	}
	switch beginning[0] {
	case 'Q', 'F':
		return s.forwardQuery(beginning, passage{}, nil)
	case 'P':
		name, _, _ := protocol.CutString(body)
		p := &statements.Prepared{}
		s.talk.Owe(conversation.Expectation{Kind: conversation.Parse, Prepared: p, Change: s.statements.Bind(string(name), p)})
	case 'B':
		name, ok := protocol.StatementOfBind(body)
		if err := s.provideUnnamed(name, ok, nil); err != nil {
			return err
		}
		p := s.statements.BindTo(name)
		s.statements.LookedAtUnder(p, nil)
		s.statements.MayExecute(p)
		s.talk.Owe(conversation.Expectation{Kind: conversation.Bind})
	case 'D':
		s.talk.Owe(conversation.Expectation{Kind: conversation.Describe})
	case 'E':
		s.talk.Owe(conversation.Expectation{Kind: conversation.Execute})
	case 'C':
		s.talk.Owe(conversation.Expectation{Kind: conversation.Close})
	case 'S':
		s.expectUnit(conversation.Expectation{Kind: conversation.Sync})
		return s.sendUpstream(beginning)
	case 'd', 'c', 'f':
		return s.forwardCopy(beginning)
	}
	s.talk.LeaveOpen(false, true)
	return s.sendUpstream(beginning)
}
