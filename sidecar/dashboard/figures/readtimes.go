package figures

import (
	"time"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// ReadTimes are what reads of a library took, by how they were answered. The zero value has
// seen none. Its methods may be called concurrently, and Note allocates nothing.
type ReadTimes struct {
	hit, remote, joined, loaded, passed, failed histogram.Histogram
	loads, passes                               histogram.Histogram // what Postgres took
	ageInMemory, ageInRedis                     histogram.Ages
}

// ReadTime is what one read took.
type ReadTime struct {
	// Outcome is its name in dashboard.Stats.Queries.
	Outcome string
	// Took is how long its reader waited, and Age how long before what answered it was loaded.
	Took, Age time.Duration
	// Postgres is what of it was Postgres', 0 if nothing was or that is not known.
	Postgres time.Duration
}

// Note counts one read.
func (t *ReadTimes) Note(r ReadTime) {
	switch r.Outcome {
	case "hit_l1":
		t.hit.Observe(r.Took, 1)
		t.ageInMemory.Observe(r.Age)
	case "hit_l2":
		t.remote.Observe(r.Took, 1)
		t.ageInRedis.Observe(r.Age)
	case "coalesced":
		t.joined.Observe(r.Took, 1)
	case "miss":
		t.loaded.Observe(r.Took, 1)
		observeSome(&t.loads, r.Postgres)
	case "bypass":
		t.passed.Observe(r.Took, 1)
		observeSome(&t.passes, r.Postgres)
	default:
		t.failed.Observe(r.Took, 1)
	}
}

func observeSome(h *histogram.Histogram, d time.Duration) {
	if d > 0 {
		h.Observe(d, 1)
	}
}

// AddTo adds what was noted. What of a hit is not Postgres' is all of it.
func (t *ReadTimes) AddTo(stats *dashboard.Stats) {
	hits := t.hit.Read()
	stats.Times = dashboard.Times{
		Latency: map[string]histogram.Reading{
			"hit_l1": hits, "hit_l2": t.remote.Read(), "coalesced": t.joined.Read(), "miss": t.loaded.Read(), "bypass": t.passed.Read(), "error": t.failed.Read(),
		},
		Upstream: map[string]histogram.Reading{"load": t.loads.Read(), "bypass": t.passes.Read()},
		Overhead: map[string]histogram.Reading{"hit": hits},
		HitAge:   map[string]histogram.Reading{"memory": t.ageInMemory.Read(), "redis": t.ageInRedis.Read()},
	}
}
