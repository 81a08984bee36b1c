package dashboard_test

import (
	"context"
	"testing"
	"time"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/dashboard"
)

func TestTimesAllocateNothing(t *testing.T) {
	ctx, times := context.Background(), &dashboard.Times{}
	for _, outcome := range []cache.Outcome{cache.OutcomeHit, cache.OutcomeLoaded, cache.OutcomeNotKept} {
		read := cache.Read{SQL: "SELECT 1", Outcome: outcome, Took: time.Millisecond, Load: time.Microsecond}
		if n := testing.AllocsPerRun(100, func() { times.OnRead(ctx, read) }); n != 0 {
			t.Errorf("%s: %v allocations", outcome, n)
		}
	}
}
