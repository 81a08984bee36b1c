package engine

import (
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

// The clocks of the process that loaded, of the tier and of the process that
// reads jump, one at a time: no entry lives longer than its life, and none is
// stale. This process's own entries do not depend on any of them.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	const (
		life    = time.Hour
		elapsed = 40 * time.Minute
		// tolerance is what an encoded moment is rounded to.
		tolerance = time.Millisecond
	)
	_, b, first, second := pair(t)
	key := []byte("k")
	name := remoteKey(world.First, key)
	now := time.Now()
	jumps := []time.Duration{0, time.Second, 30 * time.Minute, 41 * time.Minute, 48 * time.Hour, 1000 * 24 * time.Hour}
	for _, clock := range []string{"writer", "tier", "reader"} {
		for _, jump := range jumps {
			for _, jump := range []time.Duration{jump, -jump} {
				wrong := map[string]time.Duration{clock: jump}
				first.wall = func() time.Time { return now.Add(-elapsed + wrong["writer"]) }
				second.wall = func() time.Time { return now.Add(wrong["reader"]) }
				e := entry(first, "k", begin(t, first), "one")
				e.life = life
				envelope, err := first.envelopes.append(nil, e, e.Ticket.Label(), name)
				if err != nil {
					t.Fatal(err)
				}
				b.Restore(map[string][]byte{name: envelope})
				b.Left = life - elapsed - wrong["tier"]
				second.memory.Del(second.Hash(key))
				got, tier := fetch(t, second, "k")
				if tier == Nowhere {
					if jump.Abs() <= time.Second {
						t.Errorf("the clock of the %s jumped by %v: a miss, with %v left", clock, jump, life-elapsed)
					}
					continue
				}
				if left := got.Expires.Sub(fence.Now()); left > life-elapsed+tolerance {
					t.Errorf("the clock of the %s jumped by %v: %v left of %v", clock, jump, left, life-elapsed)
				}
			}
		}
	}
}

func TestClocksDoNotTouchFreshness(t *testing.T) {
	t.Parallel()
	w, b, first, second := pair(t)
	for _, jump := range []time.Duration{48 * time.Hour, -48 * time.Hour} {
		for _, c := range []*Cache{first, second} {
			c.wall = func() time.Time { return time.Now().Add(jump) }
			jump = -jump / 2
		}
		publish(t, first, b, entry(first, "k", begin(t, first), "old"))
		if _, outcome := find(first, "k", nil); outcome != Hit {
			t.Fatalf("%v in the process that loaded", outcome)
		}
		w.Commit()
		w.Look()
		if _, outcome := find(first, "k", nil); outcome != Miss {
			t.Fatalf("%v of what an event ended", outcome)
		}
		if e, tier := fetch(t, second, "k"); tier != Nowhere {
			t.Fatalf("served %v", e)
		}
	}
}
