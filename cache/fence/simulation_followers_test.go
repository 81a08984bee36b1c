package fence

import (
	"fmt"
	"slices"
)

// How the simulation feeds a fence: what the protocol asks of a follower.

func (s *simulation) restartOne() {
	if s.random.IntN(4) == 0 {
		c := pickOne(s.random, s.caches)
		s.restart(c)
		s.logf("%s restarts", c.name)
	}
}

func (s *simulation) restart(c *simulatedCache) {
	for _, t := range s.db.running {
		if slices.Contains(c.sessions, t.session) {
			t.session = nil
		}
	}
	*c = simulatedCache{
		name: c.name, slots: c.slots, fence: New(Options{Slots: c.slots}),
		kept:     make([][]*simulatedEntry, len(simulatedQueries)),
		sessions: []*simulatedSession{{}, {}, {}},
	}
}

// rest has one cache's follower stop looking, between two looks.
func (s *simulation) rest() {
	c := pickOne(s.random, s.caches)
	if c.look != nil || c.fence.Head() == nil {
		return
	}
	c.resting = true
	s.count[rests]++
	c.fence.Rest()
	if s.deviation.restVouches {
		c.fence.lookBegan.Store(int64(s.now))
	}
	s.logf("%s rests", c.name)
}

// moveLook takes one cache's look one stage further: begun, answered by the
// server, completed.
func (s *simulation) moveLook() {
	c := pickOne(s.random, s.caches)
	switch {
	case c.look == nil:
		c.look = &simulatedLook{began: s.now, incarnation: s.db.incarnation}
		c.look.pulse = c.resting && s.random.IntN(4) != 0
		c.resting = c.look.pulse
	case c.look.result != nil:
		s.completeLook(c)
	case c.look.incarnation != s.db.incarnation:
		c.look = nil // a connection does not survive a crash
		s.count[lostConnections]++
	default:
		result := s.db.look(s.wanted(c))
		c.look.result = &result
		s.logf("%s looks: %v, %d events", c.name, result.snapshot, len(result.events))
	}
}

func (s *simulation) wanted(c *simulatedCache) func(outboxRow) bool {
	head := c.fence.Head()
	switch {
	case s.deviation.rowsByID && head != nil:
		last := c.lastRow
		return func(r outboxRow) bool { return r.id > last }
	case s.deviation.runningIgnored && head != nil:
		return func(r outboxRow) bool { return r.event.XID >= head.Snapshot.Xmax() }
	}
	wanted := newSince(head)
	if s.deviation.eventsDropped {
		return func(r outboxRow) bool { return wanted(r) && s.random.IntN(4) != 0 }
	}
	return wanted
}

func (s *simulation) completeLook(c *simulatedCache) {
	look, fresh := c.look, c.look.began
	if look.pulse {
		s.count[pulses]++
		fresh = 0
	}
	head := &Head{s.incarnationName(look.result.incarnation), look.result.snapshot}
	previous := c.fence.Head()
	switch {
	case previous == nil:
		s.count[starts]++
		floor := look.result.mark
		if s.deviation.startWithoutFloor {
			floor = Snapshot{}
		}
		c.fence.Reset(head, floor, look.result.events, fresh)
	case previous.Incarnation != head.Incarnation || !head.Snapshot.Includes(previous.Snapshot):
		s.count[incarnations]++
		c.fence.Reset(head, head.Snapshot, nil, fresh)
	case !previous.Snapshot.Includes(look.result.mark) && !s.deviation.gapUnnoticed:
		s.count[gaps]++
		floor := head.Snapshot
		if s.deviation.gapWithoutFloor {
			floor = Snapshot{}
		}
		c.fence.Reset(head, floor, nil, fresh)
	case s.deviation.clockFirst && !look.clockIsAhead:
		look.clockIsAhead = true
		c.fence.Advance(previous, nil, fresh)
		return
	default:
		s.count[advances]++
		c.fence.Advance(head, look.result.events, fresh)
	}
	c.lives, c.lastRow, c.look = look.result.incarnation, look.result.lastRow, nil
	s.countFolds(c)
	s.publish(c, head)
	s.logf("%s: head %v, clock %d", c.name, head.Snapshot, c.fence.LookBegan())
}

func (s *simulation) incarnationName(i int) Incarnation {
	if s.deviation.incarnationIgnored {
		i = 0
	}
	return Incarnation(fmt.Sprint("life ", i))
}

func (s *simulation) countFolds(c *simulatedCache) {
	for i := range c.fence.slots {
		if c.fence.slots[i].floor != nil {
			s.count[folds]++
		}
	}
}
