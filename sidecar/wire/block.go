package wire

import (
	"encoding/binary"

	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Many drivers open a transaction before every read. In READ COMMITTED each
// statement sees what was committed before it began, inside a transaction or
// not, so BEGIN is answered here and held back: reads are served and captured as
// they are outside of a transaction, and Postgres hears of the BEGIN only before
// the first statement that has to run in it. A block that ends before was never
// a transaction.

// perform does what a control statement says to the block that is held back, or
// begins one. It reports false if Postgres has to do it. shown are the values that a
// statement with columns shows.
func (s *session) perform(c block.Control, text string) (shown [][]byte, ok bool) {
	b := &s.block
	var now block.Standing
	switch {
	case c.Kind == block.Begin:
		state := s.state()
		now.MayBegin = !b.Held && !s.server.shared.Load() && state != nil && state.Reason == "" && s.mayProbe()
	case b.Held && s.upstreamLives():
		now.Failed = s.talk.FailedBlock()
		if c.Kind == block.SetLocal && !now.Failed {
			if c.Columns != nil {
				text = c.SetConfigs()
			}
			var h held
			h, now.MayHold = s.mayHold(&c, text)
			now.Changes, shown = h.changes, h.shown
		}
	default:
		return nil, false
	}
	if s.ahead.any() || s.portals.any() && c.Kind != block.Commit && c.Kind != block.Rollback {
		return nil, false // portals are made again behind what is held back
	}
	hadRead := b.Read
	next, does := b.Perform(c, text, now)
	if !does.Answered {
		return nil, false
	}
	s.block = next
	s.portals.forgetUnnamed()
	s.noteLocal()
	if s.server.access != nil {
		s.logLocal()
	}
	if does.Ends {
		s.portals.forget()
		s.talk.LetBlockGo()
	}
	if does.Begins {
		s.noteHeld(hadRead)
	}
	if does.Recovers {
		s.talk.FailBlock(false)
	}
	s.performed = does.Tag
	return shown, true
}

// noteHeld notes that a block has begun. hadRead is set if the client has read in the
// one before.
func (a *asking) noteHeld(hadRead bool) {
	a.block.Began = a.arrival()
	if hadRead && !a.block.ReadOnly {
		a.db.cache.AnticipateRead(&a.reads) // its first read demands a look that begins now
	}
	a.talk.HoldBlock()
	a.db.counters.TransactionsHeld.Add(1)
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
// TestEndOfABlockFailsBehindAnUnreadFarewell.
func (a *asking) upstreamLives() bool {
	if !a.up.Readable() {
		return !a.talk.Left()
	}
	a.talk.Owe(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Harmless: true})
	return a.sendUpstream(syncMessage) == nil && a.awaitAnswers() == nil && !a.talk.Left()
}

// letGo ends the block that is held back, as far as the sidecar is concerned.
func (s *sending) letGo() {
	s.block.Held = false
	s.values.opened = s.block.HoldsSettings()
	s.talk.LetBlockGo()
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
func (a *asking) beginBlockRead() {
	b := &a.block
	if !b.Held || b.Read {
		return
	}
	b.Read = true
	if !b.ReadOnly && !a.reads.Bounded() {
		a.reads.Received(b.Began)
	}
}

// controlPrefix finds out whether a group begins with a control statement alone:
// Parse of the unnamed statement if need be, Bind, Describe if need be, Execute.
// n is the length of these messages, 0 if it does not. A driver may send its
// BEGIN before the first statement, in one group with it.
func (u *understanding) controlPrefix(unit []byte) (statement *statements.Statement, n int) {
	bound, described := false, false
	var portal []byte
	for kind, message := range protocol.Messages(unit) {
		body := message[protocol.HeaderLength:]
		switch {
		case kind == 'P' && n == 0:
			name, rest, ok := protocol.CutString(body)
			if !ok || len(name) > 0 {
				return nil, 0
			}
			statement, _ = u.statements.Intern(rest)
		case kind == 'B' && !bound:
			if statement, bound = u.bindsControl(body, statement); !bound {
				return nil, 0
			}
			portal, _, _ = protocol.CutString(body)
		case kind == 'D' && bound && !described && describes(body, portal):
			described = true
		case kind == 'H': // its Sync has come too
		case kind == 'E' && bound && executes(body, portal): // whatever its row limit
			return statement, n + len(message)
		default:
			return nil, 0
		}
		if statement != nil && statement.Control.Kind == block.None {
			return nil, 0
		}
		n += len(message)
	}
	return nil, 0
}

// bindsControl reports whether a Bind is that of a control statement.
// parsed is what was parsed just before it.
func (u *understanding) bindsControl(body []byte, parsed *statements.Statement) (*statements.Statement, bool) {
	_, rest, ok := protocol.CutString(body)
	if !ok {
		return nil, false
	}
	name, rest, ok := protocol.CutString(rest)
	if !ok || parsed != nil && len(name) > 0 || len(name) > 0 && u.talk.NamesDoubtful() {
		return nil, false
	}
	if parsed == nil {
		p := u.statements.Named(name)
		if p == nil || p.Statement == nil || p.Failed.Load() || len(name) > 0 && !p.Accepted.Load() {
			return nil, false
		}
		parsed = p.Statement
	}
	bound, ok := protocol.ReadBound(rest)
	c := &parsed.Control
	return parsed, ok && len(bound.Values) == c.Params && (len(bound.ResultFormats) <= 1 || len(bound.ResultFormats) == len(c.Columns))
}

// boundControl is the control statement of a group's beginning, with the values of its
// parameters, and its portal. It reports false if Postgres has to say what they mean.
func boundControl(prefix []byte, c block.Control) (bound block.Control, by boundPortal, ok bool) {
	for kind, message := range protocol.Messages(prefix) {
		body := message[protocol.HeaderLength:]
		switch kind {
		case 'B':
			by.name, by.bound, _ = protocol.CutString(body)
			_, by.bound, _ = protocol.CutString(by.bound)
			b, _ := protocol.ReadBound(by.bound)
			c, ok = c.Bind(b.Values)
			by.formats = b.ResultFormats
		case 'E':
			// With a limit of one row the portal is suspended behind it.
			ok = ok && (len(c.Columns) == 0 || binary.BigEndian.Uint32(body[len(body)-4:]) != 1)
		}
	}
	return c, by, ok
}

// boundPortal is the portal of a control statement: its name, its Bind behind the names, and the
// formats of its columns in that.
type boundPortal struct {
	name, bound []byte
	formats     []uint16
}

// answerControl answers the messages of a control statement, without a Sync.
func (s *session) answerControl(prefix []byte, c *block.Control, formats []uint16, shown [][]byte) {
	s.planGroup(prefix)
	for kind := range protocol.Messages(prefix) {
		switch kind {
		case 'P':
			s.out = append(s.out, protocol.ParseComplete...)
			s.statements.Assign("", s.plan.unnamed)
		case 'B':
			s.out = append(s.out, protocol.BindComplete...)
		case 'D':
			if len(c.Columns) == 0 {
				s.out = append(s.out, protocol.NoData...)
				break
			}
			s.out = protocol.AppendTextColumns(s.out, c.Columns, formats)
		case 'E':
			if len(c.Columns) > 0 {
				s.out = protocol.AppendRow(s.out, shown)
			}
			s.out = protocol.AppendComplete(s.out, s.performed)
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
	for rest[0] == 'H' && protocol.MessageLength(rest) == protocol.HeaderLength {
		rest = rest[protocol.HeaderLength:]
	}
	alone := rest[0] == 'S' && protocol.MessageLength(rest) == protocol.HeaderLength
	if kind := statement.Control.Kind; !alone && kind != block.Begin && kind != block.SetLocal {
		return false, nil
	}
	control, by, ok := boundControl(unit[:n], statement.Control)
	if !ok || !s.mayHoldAs(by.name, &control) {
		return false, nil
	}
	shown, ok := s.perform(control, statement.SQL)
	if !ok {
		return false, nil
	}
	s.answerControl(unit[:n], &control, by.formats, shown)
	if len(by.name) > 0 && control.Kind == block.Begin {
		s.portals.add(by.name, statement, by.bound)
	}
	if !alone {
		return true, s.handleGroup(rest)
	}
	s.out = s.appendReady(s.out)
	return true, s.limitOut()
}

// ask sends a query of the sidecar's own, whose answer the client does not see.
func (a *asking) ask(sql string) error {
	a.expectUnit(conversation.Expectation{Kind: conversation.Query, Hidden: true, Harmless: true, Change: a.statements.SimpleQuery(statements.AskedHere)})
	return a.sendUpstream(protocol.AppendMessage(nil, 'Q', []byte(sql), []byte{0}))
}
