package engine

import (
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

func TestLimitsChangeWhileTheCacheRuns(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	kept := entry(c, "k", begin(t, c), "one")
	c.Store(kept)
	if _, outcome := find(c, "k", nil); outcome != Hit {
		t.Fatalf("%v before", outcome)
	}
	c.SetLimits(Limits{Staleness: time.Nanosecond, EntryMax: kept.size() - 1, TTL: time.Minute})
	if _, outcome := find(c, "k", nil); outcome != Unproven {
		t.Errorf("%v although no look is as new as is demanded now", outcome)
	}
	began := fence.Now()
	later := entry(c, "l", begin(t, c), "two")
	if life := later.Expires.Sub(began); life > 2*time.Minute {
		t.Errorf("an entry lives for %v", life)
	}
	if c.Store(later) {
		t.Error("an entry was kept that is too large now")
	}
	c.SetLimits(Limits{Staleness: time.Hour, EntryMax: 1 << 20, TTL: time.Hour})
	if _, outcome := find(c, "k", nil); outcome != Hit {
		t.Errorf("%v after the limits are as they were", outcome)
	}
}
