package fence

import (
	"fmt"
	"slices"
)

// How the simulation asks a fence: what the protocol asks of a cache, over two
// tiers that return what they like.

// publish gives the second tier entries whose upper bound is known now. Some wait for a
// later look, together with others.
func (s *simulation) publish(c *simulatedCache, head *Head) {
	c.unsent = slices.DeleteFunc(c.unsent, func(e *simulatedEntry) bool {
		if c.fence.LookBegan() < e.ticket.Loaded() || s.random.IntN(3) == 0 {
			return false
		}
		s.send(e, head)
		return true
	})
}

func (s *simulation) send(e *simulatedEntry, upper *Head) {
	label := e.ticket.Label()
	if label.Incarnation != upper.Incarnation {
		return
	}
	label.Upper = upper.Snapshot
	s.count[published]++
	s.shared[e.query] = append(s.shared[e.query], sharedEntry{label.AppendBinary(nil), e.value, e.incarnation})
}

// keep stores an entry in the first tier, which remembers some old ones too and
// returns any of them: a tier that drops, delays and resurrects.
func (c *simulatedCache) keep(e *simulatedEntry) {
	kept := append(c.kept[e.query], e)
	c.kept[e.query] = kept[max(0, len(kept)-keptPerQuery):]
}

// fetch returns any entry that was ever published for the query, or nil.
func (s *simulation) fetch(c *simulatedCache, query int) *simulatedEntry {
	all := s.shared[query]
	if len(all) == 0 {
		return nil
	}
	// Mostly one of the latest, so that some are good.
	from := all[max(0, len(all)-1-s.random.IntN(4)):]
	if s.random.IntN(3) == 0 {
		from = all
	}
	found := pickOne(s.random, from)
	label, rest, err := DecodeLabel(found.label)
	if err != nil || len(rest) != 0 {
		panic(fmt.Sprintf("a published label is not readable: %v", err))
	}
	e := &simulatedEntry{query, NewTicket(label, simulatedQueries[query].tags, s.now), found.value, found.incarnation}
	c.keep(e)
	return e
}

func (s *simulation) request() {
	c := pickOne(s.random, s.caches)
	session := pickOne(s.random, c.sessions)
	switch {
	case session.busy:
	case s.random.IntN(8) == 0:
		session.busy = true
		s.write(session)
	default:
		s.read(c, session, s.random.IntN(len(simulatedQueries)))
	}
}

func (s *simulation) read(c *simulatedCache, session *simulatedSession, query int) {
	clock := c.fence.LookBegan()
	if c.fence.Fresh(s.now, staleness) && (clock >= session.Need() || s.deviation.needIgnored) {
		if kept := c.kept[query]; len(kept) > 0 {
			if e := pickOne(s.random, kept); s.admits(c, e) {
				s.count[hits]++
				s.serve(c, session, e, clock)
				return
			}
		}
		if e := s.fetch(c, query); e != nil && s.admits(c, e) {
			s.count[sharedHits]++
			s.serve(c, session, e, clock)
			return
		}
	} else {
		s.count[unsure]++
	}
	load := &simulatedLoad{query: query, session: session, began: s.now, incarnation: s.db.incarnation}
	// Only what comes from the incarnation that the follower knows is captured.
	head := c.fence.Head()
	if head != nil && (head.Incarnation == s.incarnationName(s.db.incarnation) || s.deviation.serverUnproven) {
		label := LabelAt(head)
		load.label = &label
	}
	session.busy = true
	c.loads = append(c.loads, load)
}

func (s *simulation) admits(c *simulatedCache, e *simulatedEntry) bool {
	admitted := c.fence.Admits(e.ticket)
	if !admitted {
		s.count[refused]++
	}
	return admitted
}

func (s *simulation) serve(c *simulatedCache, session *simulatedSession, e *simulatedEntry, clock Instant) {
	s.logf("%s serves query %d: %v of label %v, clock %d", c.name, e.query, e.value, e.ticket.Label().Lower, clock)
	if e.incarnation != c.lives && !s.deviation.incarnationIgnored {
		s.violate(kindIncarnation, "%s, at incarnation %d, served an entry of incarnation %d", c.name, c.lives, e.incarnation)
	}
	bound := max(clock, s.now-Instant(staleness), 0)
	s.check(session, e.query, e.value, s.stateAt[bound], c.name)
	included := c.fence.Settled(e.ticket.Label())
	if included {
		s.count[settled]++
	}
	if clock < e.ticket.Loaded() && !included && !s.deviation.shownUnnoted {
		session.Received(e.ticket.Loaded())
	}
}

// moveLoad takes a load one stage further: its query runs, or its answer
// arrives and becomes an entry.
func (s *simulation) moveLoad() {
	c := pickOne(s.random, s.caches)
	if len(c.loads) == 0 {
		return
	}
	load := pickOne(s.random, c.loads)
	switch {
	case load.value != nil:
		s.finishLoad(c, load)
	case load.incarnation != s.db.incarnation:
		s.count[lostConnections]++
	default:
		for _, k := range simulatedQueries[load.query].keys {
			load.value = append(load.value, s.db.states[s.db.current()][k])
		}
		return
	}
	load.session.busy = false
	c.loads = slices.DeleteFunc(c.loads, func(l *simulatedLoad) bool { return l == load })
}

func (s *simulation) finishLoad(c *simulatedCache, load *simulatedLoad) {
	s.count[loads]++
	s.check(load.session, load.query, load.value, s.stateAt[load.began], "Postgres")
	load.session.Received(s.now)
	head := c.fence.Head()
	if s.deviation.labelAfterLoad && head != nil {
		label := LabelAt(head)
		load.label = &label
	}
	if load.label == nil {
		return
	}
	e := &simulatedEntry{load.query, NewTicket(*load.label, simulatedQueries[load.query].tags, s.now), load.value, load.incarnation}
	s.logf("%s has loaded query %d: %v with label %v", c.name, e.query, e.value, load.label.Lower)
	c.keep(e)
	if s.deviation.upperTooEarly && head != nil {
		s.send(e, head)
		return
	}
	c.unsent = append(c.unsent, e)
}
