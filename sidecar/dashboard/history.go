package dashboard

import (
	"sync"
	"time"
)

const (
	sampleEvery = time.Second
	// historySamples is the length of the history: two minutes.
	historySamples = 120
)

// outcomeNames are the outcomes in the order in which they are shown.
var outcomeNames = []string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass", "error"}

// sample is what happened between two readings.
type sample struct {
	outcomes        [6]float64 // per second, in the order of outcomeNames
	upstreamQueries float64    // per second
	events          float64    // per second
	followerAge     *float64   // seconds, at the end; nil before the first look
}

// history keeps the samples of the last two minutes. Its methods may be called
// concurrently.
type history struct {
	mu       sync.Mutex
	samples  []sample // oldest first
	previous *Stats
	at       time.Time
}

// add files a reading taken at now. The first one only starts the count.
func (h *history) add(s *Stats, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, elapsed := h.previous, now.Sub(h.at).Seconds()
	h.previous, h.at = s, now
	if before == nil || elapsed <= 0 {
		return
	}
	next := sample{
		upstreamQueries: rate(before.UpstreamQueries, s.UpstreamQueries, elapsed),
		events:          rate(before.InvalidationEvents, s.InvalidationEvents, elapsed),
		followerAge:     s.FollowerAgeSeconds,
	}
	for i, name := range outcomeNames {
		next.outcomes[i] = rate(before.Queries[name], s.Queries[name], elapsed)
	}
	if len(h.samples) == historySamples {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:historySamples-1]
	}
	h.samples = append(h.samples, next)
}

// rate is the growth of a counter per second.
func rate(before, after uint64, elapsedSeconds float64) float64 {
	if after < before {
		return 0
	}
	return float64(after-before) / elapsedSeconds
}

// History is the JSON form of GET /api/v1/history: columns of equal length,
// oldest first, the last value ending now.
type History struct {
	// IntervalSeconds is the time between two values, LengthMax the most values a
	// column can have.
	IntervalSeconds float64 `json:"interval_seconds"`
	LengthMax       int     `json:"length_max"`
	// Queries has a column for each outcome, in queries per second.
	Queries map[string][]float64 `json:"queries_per_second"`
	// UpstreamQueries is in statements per second.
	UpstreamQueries []float64 `json:"upstream_queries_per_second"`
	// InvalidationEvents is in events per second.
	InvalidationEvents []float64 `json:"invalidation_events_per_second"`
	// FollowerAgeSeconds is Stats.FollowerAgeSeconds at the end of each interval.
	FollowerAgeSeconds []*float64 `json:"follower_age_seconds"`
}

func (h *history) columns() History {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.samples)
	c := History{
		IntervalSeconds:    sampleEvery.Seconds(),
		LengthMax:          historySamples,
		Queries:            make(map[string][]float64, len(outcomeNames)),
		UpstreamQueries:    make([]float64, n),
		InvalidationEvents: make([]float64, n),
		FollowerAgeSeconds: make([]*float64, n),
	}
	for i, name := range outcomeNames {
		column := make([]float64, n)
		for j := range h.samples {
			column[j] = h.samples[j].outcomes[i]
		}
		c.Queries[name] = column
	}
	for j := range h.samples {
		c.UpstreamQueries[j] = h.samples[j].upstreamQueries
		c.InvalidationEvents[j] = h.samples[j].events
		c.FollowerAgeSeconds[j] = h.samples[j].followerAge
	}
	return c
}
