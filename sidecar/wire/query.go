package wire

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// obstacle says why nothing can be served at this moment, whatever is asked. If
// there is nothing in the way, it also takes in what is known of the session.
func (a *asking) obstacle() string {
	var now conversation.Standing
	a.talk.Stand(&now)
	a.inTransaction = now.InBlock
	if now.Outside && !a.block.Held {
		a.known.EndLocal()
		a.values.opened, a.values.unknown = false, false
	}
	if now.Reason != "" {
		return now.Reason
	}
	a.known.NoteChanged(now.Dirty)
	a.changesSeen = now.Changes
	a.shownBy = max(a.shownBy, now.ShownBy)
	return ""
}

// beginRead notes that a read begins which may be answered from the cache.
func (a *asking) beginRead() {
	if a.shownBy != 0 {
		a.reads.Received(a.shownBy)
		a.now = max(a.arrival(), a.shownBy) // the client's message may have come before that
		a.shownBy = 0
	}
	a.beginBlockRead()
	a.reads.Begin(a.arrival())
}

// handleQuery answers a simple Query or passes it on.
func (s *session) handleQuery(unit []byte) error {
	obstacle := s.obstacle()
	s.portals.forgetUnnamed()
	text, rest, ok := protocol.CutString(unit[protocol.HeaderLength:])
	wellFormed := ok && len(rest) == 0
	// A hit goes without a plan, which with its way through the ladder would cost it a third more.
	if obstacle == "" && wellFormed && !s.talk.MidGroup() && s.servable() && s.server.offReason() == "" {
		s.keyOfQuery(text) // what depends on settings of the application's own never lies there
		if entry := s.lookup(); entry != nil {
			return s.answerQuery(entry, HitL1)
		}
	}
	s.planQuery(text, wellFormed)
	if s.plan.commands && s.plan.reason == "" && (obstacle == "" || s.block.Held) {
		if handled, err := s.handleCommand(unit, obstacle); handled {
			return err
		}
	}
	return s.serve(unit, obstacle)
}

// handleCommand answers a Query that controls a block, or begins with statements that do, and sends
// on one that ends a prepared statement. It reports false if the Query is another, or Postgres has
// to deal with it.
func (s *session) handleCommand(unit []byte, obstacle string) (handled bool, err error) {
	statement := s.plan.wants[0].prepared.Statement
	c := &statement.Control
	switch {
	case c.Params > 0:
		return false, nil // Postgres says that there is no parameter
	case c.Kind != block.None:
		shown, ok := s.perform(*c, statement.SQL)
		if !ok {
			return false, nil
		}
		s.out = appendPerformed(s.out, c, shown, s.performed)
		return true, s.endPerformed()
	case obstacle != "":
		return false, nil
	}
	if name, ok := block.ParseDeallocate(statement.SQL); ok {
		return true, s.forwardDeallocate(unit, name)
	}
	return s.handleSeveral(statement.SQL)
}

// answerQuery answers a simple Query from the cache.
func (s *session) answerQuery(entry *engine.Entry, how Outcome) error {
	a := entry.Payload.(*answer.Answer)
	how = counted(a, how)
	s.server.counters.queries[how].Add(1)
	s.reading.reads++
	s.hits.note(&s.identity, entry, how, s.arrival())
	s.noteRead(entry, nil)
	if s.untilVerified.passed(1, s.server.verifier) {
		s.offerQuery(&s.plan, entry)
	}
	s.statements.SimpleQuery(statements.AnsweredHere)
	s.out = append(s.out, a.Description...)
	if err := s.appendBody(a.Body); err != nil {
		return err
	}
	s.out = s.appendReady(s.out)
	if err := s.keepAlive(s.idleMax()); err != nil {
		return err
	}
	return s.limitOut()
}

// appendReady appends a ReadyForQuery, for a transaction that has not failed.
func (u *understanding) appendReady(dst []byte) []byte {
	if u.inBlock() {
		return append(dst, protocol.ReadyInBlock...)
	}
	return append(dst, protocol.ReadyIdle...)
}

// answerCancelled says what Postgres says of a statement that its client
// cancelled.
func (s *session) answerCancelled() error {
	if s.plan.simple {
		s.statements.SimpleQuery(statements.AnsweredHere)
	}
	if s.inTransaction {
		return s.cancelInTransaction()
	}
	s.server.counters.queries[Failed].Add(1)
	s.out = append(s.out, cancelledResponse...)
	switch {
	case s.talk.MidGroup():
		return s.endOpenGroup()
	case s.block.Held:
		s.talk.FailBlock(true)
		s.out = append(s.out, protocol.ReadyFailed...)
	default:
		s.out = append(s.out, protocol.ReadyIdle...)
	}
	return s.limitOut()
}

var cancelledResponse = protocol.ErrorResponse("ERROR", "57014", "canceling statement due to user request", "")
