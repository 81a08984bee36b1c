package wire

// After an error Postgres skips what the client sent up to its next Sync, a
// simple Query included. While data are copied in it ignores each Sync. So what
// was expected, and believed about the names of statements, is taken back.

// change is what one message does to the names of prepared statements: to those
// that the client knows, and to the unnamed one that Postgres holds.
type change struct {
	name              string
	before, after     *prepared // nil: there is no such statement
	upBefore, upAfter *prepared
}

// bindName makes p the statement of a name, for the client and for Postgres. A
// nil p means that there is none.
func (s *session) bindName(name string, p *prepared) *change {
	if name == "" && p == nil && s.prepared[""] == nil && s.upUnnamed == nil {
		return nil // as after every simple query but the first
	}
	c := &change{name: name, before: s.prepared[name], after: p, upBefore: s.upUnnamed, upAfter: s.upUnnamed}
	switch {
	case p == nil:
		delete(s.prepared, name)
	case c.before != nil || len(s.prepared) < preparedMax:
		s.prepared[name] = p
	}
	if name == "" {
		s.upUnnamed, c.upAfter = p, p
	}
	return c
}

// provide makes p the unnamed statement that Postgres holds; what the client
// knows stays.
func (s *session) provide(p *prepared) *change {
	c := &change{before: s.prepared[""], after: s.prepared[""], upBefore: s.upUnnamed, upAfter: p}
	s.upUnnamed = p
	return c
}

// takeBackLater has a change taken back before the client's next message is
// looked at. mu is held.
func (s *session) takeBackLater(c *change) {
	if c != nil {
		s.undone = append(s.undone, c)
		s.someUndone.Store(true)
	}
}

// takeBack restores what skipped messages would have changed, the last first.
func (s *session) takeBack() {
	if !s.someUndone.Load() {
		return
	}
	s.mu.Lock()
	undone := s.undone
	s.undone = nil
	s.someUndone.Store(false)
	s.mu.Unlock()
	for i := len(undone) - 1; i >= 0; i-- {
		c := undone[i]
		if c.name == "" && s.upUnnamed == c.upAfter {
			s.upUnnamed = c.upBefore
		}
		if s.prepared[c.name] != c.after {
			continue // changed again since
		}
		if c.before == nil {
			delete(s.prepared, c.name)
		} else {
			s.prepared[c.name] = c.before
		}
	}
}

// owe notes that Postgres owes an answer, unless it is going to skip the
// message. mu is held.
func (s *session) owe(e expect) {
	switch {
	case e.kind == expectCopyEnd && (s.copying || s.pending.len() == 0):
		s.copying = false
	case e.kind == expectSync && s.copying:
		s.group.unproven = s.group.unproven || !e.proven
	case e.kind == expectSync:
		s.skipping = false
		s.pending.push(e)
	case s.skipping:
		s.skip(&e)
	default:
		s.pending.push(e)
	}
}

// skip gives up the answer to a message that Postgres skips. mu is held.
func (s *session) skip(e *expect) {
	s.takeBackLater(e.change)
	if e.capture != nil {
		e.capture.release(nil)
	}
}

// noteFailed takes back what the message that failed, and those that Postgres
// skips for it, would have answered and changed.
func (s *session) noteFailed(due *expect) {
	s.copying = false
	switch {
	case due.endsUnit():
		return
	case due.opens:
	case due.kind == expectParse && due.hidden:
		due.change.upBefore = nil // Postgres has dropped what it held; the client has not
	case due.kind == expectParse && due.change != nil && due.change.name == "":
		due.prepared.failed.Store(true)
		due.change = nil
	}
	for due := s.pending.head(); due == nil || due.kind != expectSync; due = s.pending.head() {
		if due == nil {
			s.skipping = true // the Sync has yet to come
			return
		}
		s.skip(due)
		s.pending.pop()
	}
}

// noteCopyIn notes that Postgres waits for data from the client: it ignores the
// Syncs that come before their end.
func (s *session) noteCopyIn() {
	unproven, ended := s.pending.dropIgnored()
	s.group.unproven = s.group.unproven || unproven
	s.copying = !ended
}
