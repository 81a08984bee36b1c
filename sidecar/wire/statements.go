package wire

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

// takeBack restores what skipped messages would have changed, the last first.
func (s *session) takeBack() {
	undone := s.talk.takeUndone()
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
