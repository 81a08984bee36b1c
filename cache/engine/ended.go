package engine

import (
	"context"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Nobody visits entries to end them, and an entry that has ended lies there until somebody
// asks for it, or its room is needed. So that it is counted all the same, and once, whoever
// meets it first marks it: a reader that misses, the store that lets it go, or who sweeps.

// The first tier's entries are looked at once in sweepRound, or sweepMax of them each
// sweepEvery; sweepBatch at a time, so that nobody waits for that.
const (
	sweepEvery = time.Second
	sweepRound = 30
	sweepMax   = 1 << 14
	sweepBatch = 256
)

// ended reports whether an entry has ended, and by what: Expired or Invalidated. It counts
// those that a change has ended.
func (c *Cache) ended(e *Entry, now fence.Instant) (Cause, bool) {
	if over := e.over.Load(); over != 0 {
		return Cause(over), true
	}
	if now >= e.Expires {
		e.over.CompareAndSwap(0, uint32(Expired))
		return Expired, true
	}
	moved, ended := c.fence.Ended(e.Ticket)
	if !ended {
		return 0, false
	}
	if e.over.CompareAndSwap(0, uint32(Invalidated)) {
		c.counters.invalidated.Add(1)
		if c.options.Ended != nil {
			c.options.Ended(e.shape, moved, e.Ticket.Tags())
		}
	}
	return Invalidated, true
}

// sweepAll looks at all entries by and by.
func (c *Cache) sweepAll(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.sweep()
		}
	}
}

func (c *Cache) sweep() {
	batch := make([]*Entry, 0, sweepBatch)
	now := fence.Now()
	for left := min(int(c.memory.Stats().Items)/sweepRound+1, sweepMax); left > 0; left -= cap(batch) {
		for _, e := range c.memory.Some(batch) {
			c.ended(e, now)
		}
	}
}

// evicted is told what gives way to others, or is refused for them.
func (c *Cache) evicted(hash uint64, e *Entry, held bool) {
	cause := Evicted
	if held {
		if by, over := c.ended(e, fence.Now()); over {
			cause = by
		}
		c.counters.gone[cause].Add(1)
	}
	c.fates.note(hash, cause)
}

// entered and left count what lies in the first tier.
func (c *Cache) entered(e *Entry, cost int64) { c.uses.at(e.shape).holds(1, cost) }

func (c *Cache) left(e *Entry, cost int64, replaced bool) {
	c.uses.at(e.shape).holds(-1, -cost)
	if over := Cause(e.over.Load()); replaced && over != 0 {
		c.counters.gone[over].Add(1)
	}
}
