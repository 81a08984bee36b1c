package engine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

// endings are those that a cache has told.
type endings struct {
	mu  sync.Mutex
	all []fence.Tag
}

func (e *endings) note(_ uint64, moved fence.Tag, _ []fence.Tag) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, moved)
}

func (e *endings) of(tag fence.Tag) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.all {
		if t == tag {
			n++
		}
	}
	return n
}

// Each entry that has ended is counted once, whoever meets it first and however often.
func TestEndedEntriesAreCountedOnce(t *testing.T) {
	t.Parallel()
	w, told := world.New(), &endings{}
	c := open(t, w, func(o *Options) { o.Ended = told.note })
	start := begin(t, c)
	asked, forgotten := entry(c, "asked", start, "one"), entry(c, "forgotten", start, "one")
	c.Store(asked)
	c.Store(forgotten)
	short := c.NewEntry(Loaded{Key: []byte("short"), Start: start, End: fence.Now(), Life: 1, Payload: text("one")})
	c.Store(short)
	c.sweep()
	if n := c.Stats().Invalidated; n != 0 {
		t.Fatalf("%d entries were ended by nothing", n)
	}
	w.Commit()
	w.Look()
	if cause := c.Missed(asked, asked.hash); cause != Invalidated {
		t.Errorf("missed since it is %v", cause)
	}
	for range sweepRound + 1 {
		c.sweep()
	}
	if n := c.Stats().Invalidated; n != 2 || told.of(world.NumberTag) != 2 {
		t.Errorf("%d entries counted, %d told, want 2", n, told.of(world.NumberTag))
	}
	c.Store(entry(c, "asked", begin(t, c), "two"))
	c.Store(entry(c, "short", begin(t, c), "two"))
	if s := c.Stats(); s.GoneInvalidated != 1 || s.GoneExpired != 1 || s.GoneForRoom != 0 {
		t.Errorf("replaced: %d invalidated, %d expired, %d for room", s.GoneInvalidated, s.GoneExpired, s.GoneForRoom)
	}
	w.Reset("second")
	if _, over := c.ended(c.Peek([]byte("asked"), asked.hash), fence.Now()); !over || told.of(0) != 1 {
		t.Errorf("a reset has ended %d entries, want 1", told.of(0))
	}
}

// What is held of a shape is counted as it comes and goes, and what goes is told apart.
func TestEntriesOfAShapeAreCounted(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, func(o *Options) { o.MemoryBytes = 64 << 10 })
	const shape = 7
	for i := range 500 {
		start := begin(t, c)
		e := c.NewEntry(Loaded{Key: fmt.Append(nil, i), Shape: shape, Start: start, End: start.At.Add(time.Duration(i%7) * time.Millisecond), Tags: []fence.Tag{world.NumberTag}, Payload: text(strings.Repeat("x", 900))})
		c.Store(e)
	}
	s, u := c.Stats(), c.Use(shape)
	if s.GoneForRoom == 0 || s.GoneForRoom != s.Memory.Evictions || s.GoneInvalidated != 0 {
		t.Errorf("%d have gone for room, of %d evicted; %d since they were invalidated", s.GoneForRoom, s.Memory.Evictions, s.GoneInvalidated)
	}
	if u.Entries != s.Memory.Items || u.Bytes != s.Memory.Bytes || u.Entries == 0 {
		t.Errorf("%d entries of %d bytes are counted, and %d of %d held", u.Entries, u.Bytes, s.Memory.Items, s.Memory.Bytes)
	}
	w.Commit()
	w.Look()
	for i := range 500 {
		start := begin(t, c)
		c.Store(c.NewEntry(Loaded{Key: fmt.Append(nil, 1000+i), Shape: shape, Start: start, End: start.At.Add(9 * time.Millisecond), Payload: text(strings.Repeat("x", 900))}))
	}
	if after := c.Stats(); after.GoneInvalidated == 0 || after.GoneForRoom+after.GoneInvalidated != after.Memory.Evictions {
		t.Errorf("%d have gone for room and %d that had ended, of %d", after.GoneForRoom, after.GoneInvalidated, after.Memory.Evictions)
	}
}

func TestMedianAge(t *testing.T) {
	t.Parallel()
	var u use
	if u.medianAge() != 0 {
		t.Error("an age of nothing")
	}
	for range 10 {
		u.noteAge(700 * time.Microsecond)
	}
	if age := u.medianAge(); age <= 0 || age > time.Millisecond {
		t.Errorf("%v, all below 1 ms", age)
	}
	for range 30 {
		u.noteAge(3 * time.Second)
	}
	if age := u.medianAge(); age < 2*time.Second || age > 4*time.Second {
		t.Errorf("%v, most at 3 s", age)
	}
	u.noteAge(1000 * time.Hour)
	if age := u.medianAge(); age < 2*time.Second || age > 4*time.Second {
		t.Errorf("%v after one of 1000 h, most at 3 s", age)
	}
}
