package pauses

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

var freshet = servers.Build("../../sidecar/freshet")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(freshet.Removed(servers.Shared(m, servers.Needs{})))
}

// What a histogram told before is not counted, and a bucket that ends behind 1 ms is long.
func TestPausesAreCounted(t *testing.T) {
	t.Parallel()
	at := func(short, edge, longer, all float64) map[string]float64 {
		return map[string]float64{
			pauseBuckets + `0.0001"}`: short, pauseBuckets + `0.001048576"}`: edge,
			pauseBuckets + `0.016"}`: longer, pauseBuckets + `+Inf"}`: all, "go_goroutines": 7,
		}
	}
	all, longer, most := buckets(pauseBuckets, at(10, 12, 20, 20), at(11, 15, 25, 25))
	if all != 5 || longer != 2 || most != 16*time.Millisecond {
		t.Errorf("%d pauses, %d long, none above %v", all, longer, most)
	}
	if all, longer, most := buckets(pauseBuckets, nil, nil); all != 0 || longer != 0 || most != 0 {
		t.Errorf("of nothing: %d, %d, %v", all, longer, most)
	}
}

// Everything is measured that the report tells, with little of each.
func TestRunMeasures(t *testing.T) {
	t.Parallel()
	r, err := Run(t.Context(), Options{Program: freshet.Path(t), Memory: 1 << 20, Entry: 512, Clients: 2, Rounds: 1, Turn: 100 * time.Millisecond, Progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Sides {
		if s.Reads == 0 || s.Took == 0 || s.Longest < s.P50 || s.Kept == 0 || s.Resident == 0 || s.Waits == 0 {
			t.Errorf("measured %+v", s)
		}
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil || len(r.Sides) != 2 || r.Payload == 0 || !strings.Contains(text.String(), "| empty |") {
		t.Errorf("%v\n%s", err, &text)
	}
}
