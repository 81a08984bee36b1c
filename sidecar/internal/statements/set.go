package statements

import "github.com/freshet/freshet/sidecar/internal/protocol"

// Set is the prepared statements of one session; the zero value has none. There are two
// views of them, as messages are on their way or are answered here:
//
//   - the client's: a name stands for what the client has given it to, as if Postgres had
//     dealt with all that was sent;
//   - Postgres': of the unnamed statement it may hold another one than the client believes,
//     since a Parse of it may be answered here, and sent later or never. A named one is
//     always sent at once.
//
// What was believed of a message that Postgres then skipped, or refused, is taken back
// (see TakeBack).
type Set struct {
	// byName are those that the client believes in, the unnamed one by the empty name.
	byName map[string]*Prepared
	// held is the unnamed statement that Postgres holds, nil if there is none, as far as
	// is known.
	held *Prepared
	// last are the changes that were made last to each name, and lastHeld the one of held,
	// as long as they may have to be taken back: Settled resets them.
	last     map[string]*edit
	lastHeld *edit
	// parsedAgain is the unnamed statement whose last Parse was answered here although
	// Postgres holds it, from an earlier Parse. Adopt sets it, and Reparse resets it.
	parsedAgain *Prepared
	// someUnseen is set by NoteUse if some statement may have been used unseen by
	// Postgres, and reset by TakeUnseen.
	someUnseen bool
	// replacing is set by BeginUnit if the unit at hand begins with what ends the unnamed
	// statement.
	replacing bool
	// bound is the statement of the unnamed portal, as far as Postgres was sent a Bind.
	bound *Prepared
	// texts are what Parse messages have in common.
	texts texts
	// epoch counts the changes of what parsing reads, as far as they were found;
	// keepsSettings is set if some statement was parsed that this could matter for.
	epoch         uint64
	keepsSettings bool
	// doubting is set from Doubt to EndDoubt or MayChange; someDoubted, which MayChange
	// resets, if some statement may be doubted.
	doubting, someDoubted bool
}

// edit is a change of what one name stands for.
type edit struct {
	before *Prepared // nil: there was no such statement
	// next is the edit of the same name that was made behind it.
	next *edit
}

// Change is what one message does to the names of prepared statements: to those
// that the client knows, and to the unnamed one that Postgres holds.
type Change struct {
	// Name is the name, empty for the unnamed statement.
	Name string
	// client is what becomes of the name, held what becomes of the unnamed statement that
	// Postgres holds; nil if nothing does.
	client, held *edit
	// dropped is set by Drop.
	dropped bool
}

// Drop notes that Postgres holds no unnamed statement any more, though the change has not
// happened: the message was a Parse, and has failed.
func (c *Change) Drop() { c.dropped = true }

// Unnamed returns the client's unnamed statement, nil if there is none.
func (s *Set) Unnamed() *Prepared { return s.byName[""] }

// Named returns the client's statement of a name, nil if there is none.
func (s *Set) Named(name []byte) *Prepared { return s.byName[string(name)] }

// preparedMax bounds the named statements that are remembered for one session;
// what is beyond it passes through.
const preparedMax = 4096

// Bind makes p the statement of a name, for the client and for Postgres. A nil p means
// that there is none.
func (s *Set) Bind(name string, p *Prepared) *Change {
	if name == "" && p == nil && s.noUnnamed() {
		return nil // as after every simple query but the first
	}
	c := &Change{Name: name, client: &edit{before: s.byName[name]}}
	if last := s.last[name]; last != nil {
		last.next = c.client
	}
	if s.last == nil {
		s.last = map[string]*edit{}
	}
	s.last[name] = c.client
	if p == nil || c.client.before != nil || len(s.byName) < preparedMax {
		s.put(name, p)
	}
	if name == "" {
		c.held = s.hold(p)
	}
	return c
}

// noUnnamed reports whether there is no unnamed statement, whatever becomes of the messages
// under way.
func (s *Set) noUnnamed() bool {
	return s.Unnamed() == nil && s.held == nil && s.last[""] == nil && s.lastHeld == nil
}

// Provide makes p the unnamed statement that Postgres holds; what the client
// believes stays.
func (s *Set) Provide(p *Prepared) *Change { return &Change{held: s.hold(p)} }

// hold is a change of the unnamed statement that Postgres holds.
func (s *Set) hold(p *Prepared) *edit {
	e := &edit{before: s.held}
	if s.lastHeld != nil {
		s.lastHeld.next = e
	}
	s.lastHeld, s.held = e, p
	return e
}

func (s *Set) put(name string, p *Prepared) {
	if p == nil {
		delete(s.byName, name)
		return
	}
	if s.byName == nil {
		s.byName = map[string]*Prepared{}
	}
	s.byName[name] = p
}

// Forget has a name stand for nothing, whatever becomes of the messages under way.
func (s *Set) Forget(name string) { s.Assign(name, nil) }

// Assign makes p the client's statement of a name, whatever becomes of the messages
// under way.
func (s *Set) Assign(name string, p *Prepared) {
	delete(s.last, name)
	s.put(name, p)
}

// Asking says whose a simple Query is, and who gets it.
type Asking uint8

// Whose a simple Query may be.
const (
	AskedByClient Asking = iota // the client's, sent to Postgres
	AnsweredHere                // the client's, of which Postgres does not hear
	AskedHere                   // the sidecar's own, of which the client does not hear
)

// SimpleQuery notes that a simple Query ends the unnamed statement, for whoever hears of
// it. It returns the change to be taken back if Postgres skips the Query, if there is any.
func (s *Set) SimpleQuery(by Asking) *Change {
	switch by {
	case AnsweredHere:
		s.Forget("")
		return nil
	case AskedHere:
		if s.held == nil && s.lastHeld == nil {
			return nil
		}
		return s.Provide(nil)
	default:
		return s.Bind("", nil)
	}
}

// Unsettled reports whether something may have to be taken back.
func (s *Set) Unsettled() bool { return len(s.last) > 0 || s.lastHeld != nil }

// Settled notes that no message is under way any more: nothing made up to now is taken
// back.
func (s *Set) Settled() {
	clear(s.last)
	s.lastHeld = nil
}

// TakeBack takes back changes that did not happen, in the order in which they were made.
// A name that has been given to something else since, by a message of which that is not
// known, stays: but were that taken back too, the name would stand for what it stood for
// before both.
//
//  1. Postgres holds the unnamed statement A. A group fails, and its Parse of B is skipped.
//  2. The next group, on its way already, fails too, and its Parse of C is skipped.
//  3. Before that is heard, the client's next message comes, and B is taken back.
//
// Behind that the client's unnamed statement is A, not B. Forced by
// TestStatementsOfPipelinedFailures.
func (s *Set) TakeBack(undone []*Change) {
	for _, c := range undone {
		if e := c.client; e != nil {
			switch {
			case e.next != nil:
				e.next.before = e.before
			case s.last[c.Name] == e:
				s.put(c.Name, e.before)
			}
		}
		if e := c.held; e != nil {
			if c.dropped {
				e.before = nil
			}
			switch {
			case e.next != nil:
				e.next.before = e.before
			case s.lastHeld == e:
				s.held = e.before
			}
		}
	}
}

// Keep forgets the named statements that are not among names.
func (s *Set) Keep(names map[string]bool) {
	for name := range s.byName {
		if name != "" && !names[name] {
			s.Forget(name)
		}
	}
}

// Adopt makes p the client's unnamed statement, whose Parse was answered here if parsed
// is set. It returns the statement that it has become.
func (s *Set) Adopt(p *Prepared, parsed bool) *Prepared {
	if parsed && (p.epoch != s.epoch || p.doubted) {
		if p == s.held {
			p = p.Again() // what Postgres holds was parsed under other settings, or may have been
		}
		p.epoch, p.doubted = s.epoch, false
	}
	if parsed && p == s.held && p.Statement.KeepsSettings {
		s.parsedAgain = p
	}
	s.Assign("", p)
	return p
}

// HeldBack reports whether Postgres has not got a statement, which is the unnamed one.
func (s *Set) HeldBack(p *Prepared) bool {
	return p != nil && p.Parse != nil && p != s.held && !p.Failed.Load()
}

// heldFromBefore reports whether Postgres holds the unnamed statement as an earlier Parse
// made it, with a plan perhaps that the last one would not have left.
func (s *Set) heldFromBefore(p *Prepared) bool {
	return p != nil && p == s.parsedAgain && p == s.held && !p.Failed.Load()
}

// Waiting returns the unnamed statement if its Parse is to be sent before a unit that may
// change something, and nil otherwise.
func (s *Set) Waiting() *Prepared {
	p := s.Unnamed()
	if s.replacing || !s.HeldBack(p) && !s.heldFromBefore(p) {
		return nil
	}
	return p
}

// Distrust notes that Postgres holds something else than the client was told of p: what
// no client knows, until the next use has Postgres parse p anew, or until there is none
// any more.
func (s *Set) Distrust(p *Prepared) {
	if p == s.held {
		s.held, s.lastHeld = &Prepared{}, nil
	}
}

// Holds reports whether p is the unnamed statement that Postgres holds, as far as is known;
// a nil p means none.
func (s *Set) Holds(p *Prepared) bool { return p == s.held }

// Reparse notes that the Parse of the unnamed statement p, which was held back, is sent,
// under m if that is certain.
func (s *Set) Reparse(p *Prepared, m *Meaning) *Change {
	s.parsedAgain = nil
	s.ParsedUnder(p, m)
	p.Accepted.Store(false)
	p.planned = false
	if told := p.Told.Load(); told != nil && told.Own {
		p.Told.Store(told.As(false)) // of what Postgres had held before
	}
	return s.Provide(p)
}

// BindTo makes the statement of a name that of the unnamed portal, and returns it: nil if
// there is none.
func (s *Set) BindTo(name []byte) *Prepared {
	s.bound = s.Named(name)
	return s.bound
}

// Bound returns the statement of the unnamed portal, nil if there is none.
func (s *Set) Bound() *Prepared { return s.bound }

// Intern returns the statement of the body of a Parse message behind its name.
func (s *Set) Intern(body []byte) (*Statement, bool) { return s.texts.intern(body) }

// BeginUnit is called with each unit of the client's, or its beginning, before anything is
// sent for it.
func (s *Set) BeginUnit(unit []byte) { s.replacing = replacesUnnamed(unit) }

// replacesUnnamed reports whether a unit begins by making another unnamed statement, or
// by ending it.
func replacesUnnamed(unit []byte) bool {
	if len(unit) == 0 {
		return false // of what is malformed
	}
	switch unit[0] {
	case 'Q':
		return true
	case 'P':
		return len(unit) > protocol.HeaderLength && unit[protocol.HeaderLength] == 0
	default:
		return false
	}
}

// OutliveQuery reports whether a simple query can be put before the client's next message
// without its notice: Postgres' unnamed statement ends with it, which must be one that can
// be sent again, and means the same then, whatever has happened to the settings.
func (s *Set) OutliveQuery() bool {
	p := s.Unnamed()
	if p == nil || p != s.held || s.replacing && p.Parse != nil {
		return true
	}
	return p.Parse != nil && !p.Statement.KeepsSettings
}
