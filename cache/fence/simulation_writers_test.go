package fence

// How the simulation changes the database: transactions, trimming, crashes.

func (s *simulation) beginTransaction() {
	if len(s.db.running) < 8 {
		s.write(nil)
	}
}

// write begins a transaction that changes one or two keys, or everything.
func (s *simulation) write(session *simulatedSession) {
	t := s.db.begin()
	t.session, t.long = session, session == nil && s.random.IntN(4) == 0
	if s.random.IntN(12) == 0 {
		s.db.write(t, simulatedQueries[0].keys, []Tag{tableTag, wholesaleTag})
	}
	for range 1 + s.random.IntN(2) {
		k := s.random.IntN(keyCount)
		s.db.write(t, []int{k}, []Tag{tableTag, keyTagBase + Tag(k)})
	}
	s.logf("transaction %d writes %v", t.xid, t.writes)
}

// writeElsewhere commits a change of many tags at once, more than a slot holds.
func (s *simulation) writeElsewhere() {
	t := s.db.begin()
	tags := make([]Tag, 40)
	for i := range tags {
		tags[i] = otherTagBase + Tag(i)
	}
	s.db.write(t, nil, tags)
	s.db.commit(t, s.random.IntN(2) == 0)
	s.logf("transaction %d changes another table", t.xid)
}

func (s *simulation) endTransaction() {
	if len(s.db.running) == 0 {
		return
	}
	t := pickOne(s.random, s.db.running)
	if t.long && s.random.IntN(10) != 0 {
		if s.random.IntN(10) == 0 {
			s.db.prepare(t)
		}
		return
	}
	if s.random.IntN(6) == 0 {
		s.db.abort(t)
		s.logf("transaction %d aborts", t.xid)
	} else {
		s.db.commit(t, t.prepared || s.random.IntN(2) == 0)
		s.logf("transaction %d commits: state %d", t.xid, s.db.current())
		if t.session != nil {
			t.session.position = s.db.current()
		}
	}
	if t.session != nil {
		t.session.busy = false
		if !s.deviation.writesUnnoted {
			t.session.Received(s.now)
		}
	}
}

func (s *simulation) trim() {
	if n := len(s.db.mayTrim); n > 0 {
		s.db.trim(s.random.IntN(n))
		s.logf("trimmed to %v", s.db.mark)
	}
}

func (s *simulation) crash() {
	if s.random.IntN(6) != 0 {
		return
	}
	for _, t := range s.db.running {
		if t.session != nil {
			t.session.busy = false // its connection is gone, and no promise was made
		}
	}
	n := s.db.crash()
	s.count[reusedIDs] += n
	s.logf("crash: incarnation %d, %d ids to be reused from %d on", s.db.incarnation, n, s.db.next)
}
