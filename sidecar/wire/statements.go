package wire

// statements are the prepared statements of one session. There are two views of them, as
// messages are on their way or are answered here:
//
//   - the client's: a name stands for what the client has given it to, as if Postgres had
//     dealt with all that was sent;
//   - Postgres': of the unnamed statement it may hold another one than the client believes,
//     since a Parse of it may be answered here, and sent later or never. A named one is
//     always sent at once.
//
// What was believed of a message that Postgres then skipped, or refused, is taken back
// (see takeBack). It belongs to the downstream goroutine.
type statements struct {
	// byName are those that the client believes in, the unnamed one by the empty name.
	byName map[string]*prepared
	// held is the unnamed statement that Postgres holds, nil if there is none, as far as
	// is known.
	held *prepared
	// last are the changes that were made last to each name, and lastHeld the one of held,
	// as long as they may have to be taken back: settled resets them.
	last     map[string]*edit
	lastHeld *edit
	// parsedAgain is the unnamed statement whose last Parse was answered here although
	// Postgres holds it, from an earlier Parse. adopt sets it, and whoever sends the
	// Parse resets it.
	parsedAgain *prepared
	// someUnseen is set by noteUnseen if some statement may have been used unseen by
	// Postgres, and reset when Postgres is shown the uses.
	someUnseen bool
	// replacing is set if the unit at hand begins with what ends the unnamed statement.
	replacing bool
	// bound is the statement of the unnamed portal, as far as Postgres was sent a Bind.
	bound *prepared
	// texts are what Parse messages have in common.
	texts texts
	// epoch counts the changes of what parsing reads, as far as they were found;
	// keepsSettings is set if some statement was parsed that this could matter for.
	epoch         uint64
	keepsSettings bool
}

// edit is a change of what one name stands for.
type edit struct {
	before *prepared // nil: there was no such statement
	// next is the edit of the same name that was made behind it.
	next *edit
}

// change is what one message does to the names of prepared statements: to those
// that the client knows, and to the unnamed one that Postgres holds.
type change struct {
	name string
	// client is what becomes of the name, held what becomes of the unnamed statement that
	// Postgres holds; nil if nothing does.
	client, held *edit
	// dropped is set by conversation.failLocked if Postgres holds no unnamed statement any
	// more, though the change has not happened: the message was a Parse, and has failed.
	dropped bool
}

// unnamed returns the client's unnamed statement, nil if there is none.
func (s *statements) unnamed() *prepared { return s.byName[""] }

// named returns the client's statement of a name, nil if there is none.
func (s *statements) named(name []byte) *prepared { return s.byName[string(name)] }

// preparedMax bounds the named statements that are remembered for one session;
// what is beyond it passes through.
const preparedMax = 4096

// bind makes p the statement of a name, for the client and for Postgres. A nil p means
// that there is none.
func (s *statements) bind(name string, p *prepared) *change {
	if name == "" && p == nil && s.noUnnamed() {
		return nil // as after every simple query but the first
	}
	c := &change{name: name, client: &edit{before: s.byName[name]}}
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
func (s *statements) noUnnamed() bool {
	return s.unnamed() == nil && s.held == nil && s.last[""] == nil && s.lastHeld == nil
}

// provide makes p the unnamed statement that Postgres holds; what the client
// believes stays.
func (s *statements) provide(p *prepared) *change { return &change{held: s.hold(p)} }

// hold is a change of the unnamed statement that Postgres holds.
func (s *statements) hold(p *prepared) *edit {
	e := &edit{before: s.held}
	if s.lastHeld != nil {
		s.lastHeld.next = e
	}
	s.lastHeld, s.held = e, p
	return e
}

func (s *statements) put(name string, p *prepared) {
	if p == nil {
		delete(s.byName, name)
		return
	}
	s.byName[name] = p
}

// forget has a name stand for nothing, whatever becomes of the messages under way.
func (s *statements) forget(name string) { s.assign(name, nil) }

// assign makes p the client's statement of a name, whatever becomes of the messages
// under way.
func (s *statements) assign(name string, p *prepared) {
	delete(s.last, name)
	s.put(name, p)
}

// asking says whose a simple Query is, and who gets it.
type asking uint8

const (
	askedByClient asking = iota // the client's, sent to Postgres
	answeredHere                // the client's, of which Postgres does not hear
	askedHere                   // the sidecar's own, of which the client does not hear
)

// simpleQuery notes that a simple Query ends the unnamed statement, for whoever hears of
// it. It returns the change to be taken back if Postgres skips the Query, if there is any.
func (s *statements) simpleQuery(by asking) *change {
	switch by {
	case answeredHere:
		s.forget("")
		return nil
	case askedHere:
		if s.held == nil && s.lastHeld == nil {
			return nil
		}
		return s.provide(nil)
	default:
		return s.bind("", nil)
	}
}

// unsettled reports whether something may have to be taken back.
func (s *statements) unsettled() bool { return len(s.last) > 0 || s.lastHeld != nil }

// settled notes that no message is under way any more: nothing made up to now is taken
// back.
func (s *statements) settled() {
	clear(s.last)
	s.lastHeld = nil
}

// takeBack takes back changes that did not happen, in the order in which they were made.
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
func (s *statements) takeBack(undone []*change) {
	for _, c := range undone {
		if e := c.client; e != nil {
			switch {
			case e.next != nil:
				e.next.before = e.before
			case s.last[c.name] == e:
				s.put(c.name, e.before)
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

// keep forgets the named statements that are not among names.
func (s *statements) keep(names map[string]bool) {
	for name := range s.byName {
		if name != "" && !names[name] {
			s.forget(name)
		}
	}
}

// adopt makes p the client's unnamed statement, whose Parse was answered here if parsed
// is set. It returns the statement that it has become.
func (s *statements) adopt(p *prepared, parsed bool) *prepared {
	if parsed && p.epoch != s.epoch {
		if p == s.held {
			p = p.again() // what Postgres holds was parsed under other settings
		}
		p.epoch = s.epoch
	}
	if parsed && p == s.held && p.statement.keepsSettings {
		s.parsedAgain = p
	}
	s.assign("", p)
	return p
}

// heldBack reports whether Postgres has not got a statement, which is the unnamed one.
func (s *statements) heldBack(p *prepared) bool {
	return p != nil && p.parse != nil && p != s.held && !p.failed.Load()
}

// heldFromBefore reports whether Postgres holds the unnamed statement as an earlier Parse
// made it, with a plan perhaps that the last one would not have left.
func (s *statements) heldFromBefore(p *prepared) bool {
	return p != nil && p == s.parsedAgain && p == s.held && !p.failed.Load()
}

// waiting returns the unnamed statement if its Parse is to be sent before a unit that may
// change something, and nil otherwise.
func (s *statements) waiting() *prepared {
	p := s.unnamed()
	if s.replacing || !s.heldBack(p) && !s.heldFromBefore(p) {
		return nil
	}
	return p
}

// distrust notes that Postgres holds something else than the client was told of p: what
// no client knows, until the next use has Postgres parse p anew, or until there is none
// any more.
func (s *statements) distrust(p *prepared) {
	if p == s.held {
		s.held, s.lastHeld = &prepared{}, nil
	}
}

// outliveQuery reports whether a simple query can be put before the client's next message
// without its notice: Postgres' unnamed statement ends with it, which must be one that can
// be sent again, and means the same then, whatever has happened to the settings.
func (s *statements) outliveQuery() bool {
	p := s.unnamed()
	if p == nil || p != s.held || s.replacing && p.parse != nil {
		return true
	}
	return p.parse != nil && !p.statement.keepsSettings
}
