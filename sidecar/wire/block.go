package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// Many drivers open a transaction before every read. In READ COMMITTED each
// statement sees what was committed before it began, inside a transaction or
// not, so BEGIN is answered here and held back: reads are served and captured as
// they are outside of a transaction, and Postgres hears of the BEGIN only before
// the first statement that has to run in it. A block that ends before was never
// a transaction.

// block is a transaction block of the client whose BEGIN is held back. It
// belongs to the downstream goroutine.
type block struct {
	held bool
	// begin is the statement that begins it, as the client wrote it.
	begin []byte
	// chained is set if it was COMMIT AND CHAIN that began it.
	chained bool
	// savepoints are those that stand, the oldest first.
	savepoints []savepoint
	// began is when the BEGIN had arrived.
	began    fence.Instant
	readOnly bool
	// read is set when something was read in it.
	read bool
}

type savepoint struct{ name, text string }

// savepointsMax bounds the savepoints held back; with more, the block is opened.
const savepointsMax = 64

func (b *block) find(name string) int {
	for i := len(b.savepoints) - 1; i >= 0; i-- {
		if b.savepoints[i].name == name {
			return i
		}
	}
	return -1
}

// perform does what a control statement says to the block that is held back, or
// begins one. It reports false if Postgres has to do it.
func (s *session) perform(c control, text string) (tag string, ok bool) {
	b := &s.block
	if c.kind == controlBegin {
		if b.held || s.state == nil || s.state.reason != "" || !s.mayProbe() {
			return "", false
		}
		s.hold(text, c.readOnly)
		return c.tag, true
	}
	if !b.held || !s.upstreamLives() {
		return "", false
	}
	failed := s.talk.failedBlock()
	switch c.kind {
	case controlCommit, controlRollback:
		if failed {
			c.tag = "ROLLBACK"
		}
		s.letGo()
		if c.chain {
			s.hold(string(b.begin), b.readOnly)
			b.chained = true
		}
		return c.tag, true
	case controlSavepoint:
		if failed || len(b.savepoints) >= savepointsMax {
			return "", false
		}
		b.savepoints = append(b.savepoints, savepoint{c.savepoint, text})
		return c.tag, true
	case controlRelease, controlRollbackTo:
		i := b.find(c.savepoint)
		if i < 0 || failed && c.kind == controlRelease {
			return "", false // Postgres says what is wrong
		}
		if c.kind == controlRollbackTo {
			i++
			s.talk.failBlock(false)
		}
		b.savepoints = b.savepoints[:i]
		return c.tag, true
	default:
		return "", false
	}
}

// upstreamLives reports whether Postgres still serves the connection of a block that is
// held back, before the sidecar acts in its place:
//
//  1. BEGIN is held back, and something read;
//  2. an administrator terminates the session: Postgres says so, and leaves;
//  3. the client's COMMIT comes before what Postgres said was read.
//
// Postgres would have failed 3. So its socket is looked at, and where there is something
// to read, Postgres is asked for a sign of life behind it. Forced by
// TestBlockOfATerminatedSession.
func (s *session) upstreamLives() bool {
	if !s.up.Readable() {
		return !s.talk.left.Load()
	}
	s.talk.owe(expect{kind: expectSync, hidden: true, harmless: true})
	return s.sendUpstream(syncMessage) == nil && s.awaitAnswers() == nil && !s.talk.left.Load()
}

// hold begins a block.
func (s *session) hold(text string, readOnly bool) {
	b := &s.block
	if b.read {
		s.server.follower.Wake() // a client that read in its last block will need this look
	}
	*b = block{held: true, begin: append(b.begin[:0], text...), savepoints: b.savepoints[:0], began: s.arrival(), readOnly: readOnly}
	s.talk.holdBlock()
	s.server.counters.TransactionsHeld.Add(1)
}

// letGo ends the block that is held back, as far as the sidecar is concerned.
func (s *session) letGo() {
	s.block.held = false
	s.talk.letBlockGo()
}

// beginBlockRead notes that a read begins in a block, if there is one.
//
// The first one of a block demands everything that was acknowledged before its
// BEGIN, or a transaction that reads, computes and writes would be shown what is
// older than anything that it could have been shown by Postgres:
//
//  1. an entry is stored;
//  2. another client's commit changes the row; its event is not received yet;
//  3. BEGIN is held back, and the entry, still within the staleness bound, is served;
//  4. the block is opened and writes what it computed from the old row.
//
// Forced by TestBlockReadsWhatWasCommittedBeforeIt. Who asked for bounded
// staleness alone, or cannot write, gets what it gets outside of a block.
func (s *session) beginBlockRead() {
	b := &s.block
	if !b.held || b.read {
		return
	}
	b.read = true
	if !b.readOnly && !s.reads.Bounded() {
		s.reads.Received(b.began)
	}
}

// controlPrefix finds out whether a group begins with a control statement alone:
// Parse of the unnamed statement if need be, Bind, Describe if need be, Execute.
// n is the length of these messages, 0 if it does not. A driver may send its
// BEGIN before the first statement, in one group with it.
func (s *session) controlPrefix(unit []byte) (statement *statement, n int) {
	bound, described := false, false
	for kind, message := range protocol.Messages(unit) {
		body := message[protocol.HeaderLength:]
		switch {
		case kind == 'P' && n == 0:
			name, rest, ok := protocol.CutString(body)
			if !ok || len(name) > 0 {
				return nil, 0
			}
			statement, _ = s.interned.intern(rest)
		case kind == 'B' && !bound:
			if statement, bound = s.bindsControl(body, statement); !bound {
				return nil, 0
			}
		case kind == 'D' && bound && !described && string(body) == "P\x00":
			described = true
		case kind == 'E' && bound && len(body) == 5 && body[0] == 0: // whatever its row limit
			return statement, n + len(message)
		default:
			return nil, 0
		}
		if statement != nil && statement.control.kind == controlNone {
			return nil, 0
		}
		n += len(message)
	}
	return nil, 0
}

// bindsControl reports whether a Bind is that of a control statement, without
// parameters, to the unnamed portal. parsed is what was parsed just before it.
func (s *session) bindsControl(body []byte, parsed *statement) (*statement, bool) {
	portal, rest, ok := protocol.CutString(body)
	if !ok || len(portal) > 0 {
		return nil, false
	}
	name, rest, ok := protocol.CutString(rest)
	if !ok || parsed != nil && len(name) > 0 || len(name) > 0 && s.talk.namesDoubtful.Load() {
		return nil, false
	}
	if parsed == nil {
		p := s.prepared[string(name)]
		if p == nil || p.statement == nil || p.failed.Load() || len(name) > 0 && !p.accepted.Load() {
			return nil, false
		}
		parsed = p.statement
	}
	values, ok := boundValues(rest)
	if !ok || len(values) > 0 {
		return nil, false
	}
	_, rest, _ = protocol.Int16s(rest)
	results, _, _ := protocol.Int16s(rest[2:]) // behind the number of values
	return parsed, len(results) <= 1
}

// answerControl answers the messages of a control statement, without a Sync.
func (s *session) answerControl(prefix []byte, tag string) {
	s.planGroup(prefix)
	for kind := range protocol.Messages(prefix) {
		switch kind {
		case 'P':
			s.out = append(s.out, protocol.ParseComplete...)
			s.prepared[""] = s.plan.unnamed
		case 'B':
			s.out = append(s.out, protocol.BindComplete...)
		case 'D':
			s.out = append(s.out, protocol.NoData...)
		case 'E':
			s.out = protocol.AppendComplete(s.out, tag)
		}
	}
}

// handleControl answers the control statement that a group begins with, and goes
// on with the rest. It reports false if there is none, or none that can be
// answered here.
func (s *session) handleControl(unit []byte) (handled bool, err error) {
	statement, n := s.controlPrefix(unit)
	if n == 0 {
		return false, nil
	}
	rest := unit[n:]
	alone := rest[0] == 'S' && protocol.MessageLength(rest) == protocol.HeaderLength
	if !alone && statement.control.kind != controlBegin {
		return false, nil
	}
	tag, ok := s.perform(statement.control, statement.sql)
	if !ok {
		return false, nil
	}
	s.answerControl(unit[:n], tag)
	if !alone {
		return true, s.handleGroup(rest)
	}
	s.out = s.appendReady(s.out)
	return true, s.limitOut()
}

// ask sends a query of the sidecar's own, whose answer the client does not see.
func (s *session) ask(sql string) error {
	s.expectUnit(expect{kind: expectQuery, hidden: true, harmless: true, change: s.provide(nil)})
	return s.sendUpstream(protocol.AppendMessage(nil, 'Q', []byte(sql), []byte{0}))
}

// awaitAnswers waits until Postgres owes nothing.
func (s *session) awaitAnswers() error {
	if !s.talk.owed() {
		return nil
	}
	if err := s.flushUpstream(); err != nil {
		return err
	}
	return s.talk.awaitAnswers()
}
