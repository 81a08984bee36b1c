package dashboard

import (
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/count"
)

func TestHistoryRates(t *testing.T) {
	t.Parallel()
	h := &history{}
	start := time.Now()
	age := 0.25
	h.add(&Stats{Queries: map[string]uint64{"hit_l1": 100}, Counts: count.Counts{UpstreamQueries: 10}}, start)
	if n := len(h.columns().UpstreamQueries); n != 0 {
		t.Fatalf("%d samples of one reading", n)
	}
	h.add(&Stats{Queries: map[string]uint64{"hit_l1": 160, "error": 4}, Counts: count.Counts{UpstreamQueries: 12}, FollowerAgeSeconds: &age}, start.Add(2*time.Second))
	// Counters never shrink; a reading that says so must not show a negative rate.
	h.add(&Stats{}, start.Add(3*time.Second))
	got := h.columns()
	if c := got.Queries["hit_l1"]; c[0] != 30 || c[1] != 0 {
		t.Errorf("hit_l1 %v", c)
	}
	if got.Queries["error"][0] != 2 || got.UpstreamQueries[0] != 1 {
		t.Errorf("errors %v, upstream %v", got.Queries["error"], got.UpstreamQueries)
	}
	if got.FollowerAgeSeconds[0] != &age || got.FollowerAgeSeconds[1] != nil {
		t.Errorf("ages %v", got.FollowerAgeSeconds)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	h := &history{}
	start := time.Now()
	for i := range historySamples + 10 {
		h.add(&Stats{InvalidationEvents: uint64(i * i)}, start.Add(time.Duration(i)*time.Second))
	}
	got := h.columns().InvalidationEvents
	if len(got) != historySamples {
		t.Fatalf("%d samples", len(got))
	}
	// The last sample is between the readings 128 and 129.
	if first, last := got[0], got[historySamples-1]; last != 257 || first != 19 {
		t.Errorf("first %v, last %v", first, last)
	}
}
