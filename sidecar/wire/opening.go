package wire

import (
	"errors"
	"slices"
	"strings"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A block that was held back begins together with the first statement that has
// to run in it: its BEGIN costs no round trip of its own. BEGIN and what belongs
// to it are sent as extended messages without a Sync, and the statement right
// behind them, so that Postgres skips the statement if one of them fails.
//
//  1. BEGIN and an UPDATE are sent;
//  2. a cancel request, meant for the UPDATE, meets the BEGIN, which fails;
//  3. the UPDATE runs outside of a transaction, and is committed at once.
//
// 3 cannot happen here: up to the next Sync Postgres ignores everything. The
// statement has failed then, to the client, and its block is held back again,
// failed. Nor may anything behind the statement run outside of the transaction:
//
//  3. the client does not wait for answers, and sends another UPDATE.
//
// So nothing more is sent before the BEGIN has succeeded (see settle). Forced by
// TestStatementsBehindAFailedBeginDoNotRun.

// mayOpenWith reports whether a unit may be sent together with the BEGIN before it:
// it has to be a whole one, and to end in a Sync that can be relied on. A simple
// Query gets one of the sidecar's; while data are copied in, Postgres would
// ignore it.
func (s *sending) mayOpenWith(unit []byte) bool {
	if len(s.portals.due(&s.plan)) > 0 || s.block.Chained || s.talk.FailedBlock() || shownBy(unit) != 0 {
		return false
	}
	switch kind, n := protocol.NextUnit(unit); kind {
	case protocol.UnitGroup:
		return n == len(unit) && !s.talk.MidGroup()
	case protocol.UnitQuery:
		text, _, ok := protocol.CutString(unit[protocol.HeaderLength:])
		return ok && n == len(unit) && !s.talk.MidGroup() && neverCopies(string(text))
	default:
		return false
	}
}

// neverCopies reports whether a text is one statement, and not COPY.
func neverCopies(text string) bool {
	return analysis.FirstKeyword(text) != "COPY" && surelyOne(text)
}

// surelyOne reports whether a text is one statement at most. It may be, though that
// is not seen.
func surelyOne(text string) bool {
	_, behind, several := strings.Cut(text, ";")
	return !several || strings.Trim(behind, block.Space+";") == ""
}

// openFor has the block that was held back begin before a unit. along is set if
// both are under way together: a Query needs a Sync behind it then.
func (s *sending) openFor(unit []byte) (along bool, err error) {
	if s.mayOpenWith(unit) {
		return true, s.openAlong()
	}
	return false, s.open()
}

// openAlong sends what begins the block that was held back. The statement, and a
// Sync, have to be sent right behind it.
func (s *sending) openAlong() error {
	s.letGo()
	s.db.counters.TransactionsOpened.Add(1)
	s.opening = true
	s.talk.BeginOpening()
	s.openers = s.block.Statements(s.openers[:0], s.plan.takesSnapshot())
	for _, sql := range s.openers {
		if err := s.sendOpening(sql); err != nil {
			return err
		}
	}
	return nil
}

// openingName is the name that the statements and portals have which begin a
// block, as long as they last: the unnamed ones are the client's.
const openingName = "freshet begin"

var (
	openingBind    = protocol.AppendMessage(nil, 'B', []byte(openingName+"\x00"+openingName+"\x00"), make([]byte, 6))
	openingExecute = protocol.AppendMessage(nil, 'E', []byte(openingName+"\x00"), make([]byte, 4))
	openingForgot  = protocol.AppendMessage(nil, 'C', []byte("S"+openingName+"\x00"))
	openingClosed  = append(protocol.AppendMessage(nil, 'C', []byte("P"+openingName+"\x00")), openingForgot...)
	openingCleared = slices.Concat(openingForgot, syncMessage)
	// openingParsed is what a Parse names, and openingRun what follows it.
	openingParsed = []byte(openingName + "\x00")
	openingRun    = slices.Concat(openingBind, openingExecute, openingClosed)
)

// takesSnapshot reports whether Postgres takes a snapshot for what a unit executes first, which
// the plan is of. It does for all that it optimizes.
func (p *plan) takesSnapshot() bool {
	if p.reason != "" || len(p.wants) == 0 || p.wants[0].describes {
		return false
	}
	switch analysis.FirstKeyword(p.wants[0].prepared.Statement.SQL) {
	case "SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE":
		return true
	}
	return false
}

// sendOpening sends one statement of those that begin a block.
func (s *sending) sendOpening(sql string) error {
	s.talk.OweOpening()
	if err := s.flushClient(); err != nil {
		return err
	}
	var noTypes [3]byte // behind the end of the text
	s.toUp = protocol.AppendMessage(s.toUp, 'P', openingParsed, []byte(sql), noTypes[:])
	return s.sendUpstream(openingRun)
}

// settle is called before the client's next message is dealt with. It finds out
// what became of a BEGIN that was sent along, and takes back what did not happen.
func (s *sending) settle() error {
	if s.talk.Left() {
		return errDone
	}
	if s.opening {
		if err := s.awaitOpening(); err != nil {
			return err
		}
	}
	if s.block.Held { // which is decided on with nothing owed
		if err := s.awaitAnswers(); err != nil {
			return err
		}
	}
	s.takeBack()
	return nil
}

// takeBack takes back what was believed of messages that Postgres has skipped or refused,
// as far as that was heard.
func (s *sending) takeBack() {
	settled := s.statements.Unsettled() && !s.talk.Owed() // in this order: now all is heard
	s.statements.TakeBack(s.talk.TakeUndone())
	if settled {
		s.statements.Settled()
	}
}

func (s *sending) awaitOpening() error {
	if err := s.flushUpstream(); err != nil {
		return err
	}
	unopened, err := s.talk.AwaitOpening()
	s.opening = false
	if err == nil && unopened {
		err = s.clearOpening()
	}
	s.block.Held = unopened
	return err
}

// clearOpening rids Postgres of what is left of a BEGIN that failed.
//
//  1. A cancel request meets the BEGIN behind its Parse; the Close is skipped.
//  2. The next block's BEGIN has the same name, which is taken.
//
// Forced by TestStatementsBehindAFailedBeginDoNotRun.
func (s *sending) clearOpening() error {
	if s.talk.TransactionStatus() != protocol.StatusIdle { // what failed came behind the BEGIN
		if err := s.ask("ROLLBACK"); err != nil {
			return err
		}
	}
	return s.forgetOpening()
}

// forgetOpening closes the statement of a BEGIN or a portal that has failed, if there is one.
func (s *sending) forgetOpening() error {
	s.talk.Owe(conversation.Expectation{Kind: conversation.Close, Hidden: true})
	s.expectUnit(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Harmless: true})
	return s.sendUpstream(openingCleared)
}

// openAttemptsMax is how often it is tried to open a block: a cancel request may
// have met the BEGIN instead of the statement that it was meant for.
const openAttemptsMax = 3

// beganInVain is what Postgres is told to fail at if a statement of the block has
// failed that ran before its BEGIN. It is for who reads Postgres' log.
const beganInVain = "SELECT 'a statement of this transaction has failed before its BEGIN arrived'::pg_catalog.int4"

var errNotOpened = errors.New("open transaction: Postgres did not begin it")

// open has Postgres begin the block that was held back, and waits until it has:
// what comes next must not run outside of it, whatever happens to the BEGIN. Where one of its
// portals cannot be made, since the rows that it read have changed, say, the block has failed,
// and what comes next fails in it. Forced by TestPortalThatCannotBeMadeFailsItsTransaction.
func (s *sending) open() error {
	failed := s.talk.FailedBlock()
	s.letGo()
	s.db.counters.TransactionsOpened.Add(1)
	due := s.portals.due(&s.plan)
	s.portals.forget()
	opened, err := s.tryToOpen(failed, due)
	if err == nil && !opened && len(due) > 0 {
		opened, err = s.tryToOpen(true, nil) // nothing is left of them but their names, which only ROLLBACK comes behind
	}
	if err != nil || opened {
		return err
	}
	s.refuse("25000", "the transaction could not be begun", "Its BEGIN was held back until now. Connect again.")
	return errNotOpened
}

// tryToOpen has Postgres begin the block, failed or not, and make its portals. It reports false
// if that has failed as often as it is tried.
func (s *sending) tryToOpen(failed bool, portals []portal) (opened bool, err error) {
	wanted := byte(protocol.StatusInBlock)
	if failed {
		wanted = protocol.StatusFailed
	}
	for range openAttemptsMax {
		if err := s.begin(failed, portals); err != nil {
			return false, err
		}
		if s.talk.TransactionStatus() == wanted {
			return true, nil
		}
		if err := s.clearOpening(); err != nil {
			return false, err
		}
		if err := s.awaitAnswers(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// begin asks Postgres for everything that the block consists of, and waits.
func (s *sending) begin(failed bool, portals []portal) error {
	for _, sql := range s.block.Statements(nil, false) {
		if err := s.ask(sql); err != nil {
			return err
		}
	}
	if err := s.remakePortals(portals); err != nil {
		return err
	}
	if failed {
		if err := s.ask(beganInVain); err != nil {
			return err
		}
		if err := s.forgetOpening(); err != nil { // a portal may have failed
			return err
		}
	}
	return s.awaitAnswers()
}
