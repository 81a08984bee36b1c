package fence

import "slices"

// How hints come in the simulation: through a Redis that loses, delays, repeats and invents
// them, from followers of this life of the server and of lives before.

const (
	hintsHeard    = "events foretold"
	hintsInvented = "events invented"
)

// hint has one cache hear of events.
func (s *simulation) hint() {
	c := pickOne(s.random, s.caches)
	incarnation := s.db.incarnation
	var events []Event
	for _, row := range s.db.outbox {
		if s.random.IntN(3) == 0 { // what is not said is lost, or late
			events = append(events, row.event)
		}
	}
	events = events[max(0, len(events)-3):]
	s.count[hintsHeard] += len(events)
	if s.random.IntN(4) == 0 {
		s.count[hintsInvented]++
		events = append(events, Event{s.db.next + XID(s.random.IntN(3)), simulatedQueries[s.random.IntN(len(simulatedQueries))].tags})
		incarnation -= s.random.IntN(2)
	}
	concerns := c.fence.Foretell(s.incarnationName(incarnation), events, s.now)
	s.deviateFromHint(c, events)
	if concerns && c.look == nil && s.random.IntN(2) == 0 {
		c.look = &simulatedLook{began: s.now, incarnation: s.db.incarnation}
	}
	s.logf("%s hears of %d events", c.name, len(events))
}

// deviateFromHint relies on a hint as the protocol forbids.
func (s *simulation) deviateFromHint(c *simulatedCache, events []Event) {
	head := c.fence.Head()
	if head == nil || c.fence.LookBegan() == 0 {
		return
	}
	switch {
	case s.deviation.hintIsProof:
		c.fence.lookBegan.Store(int64(s.now))
	case s.deviation.hintIsHead && s.db.snapshot().Includes(head.Snapshot) && head.Incarnation == s.incarnationName(s.db.incarnation):
		c.fence.Advance(&Head{head.Incarnation, s.db.snapshot()}, slices.Clone(events), c.fence.LookBegan())
	}
}
