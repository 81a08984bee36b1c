package wire

import (
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// times are what sessions measure.
type times struct {
	queries  [outcomes]histogram.Histogram
	overhead [2]histogram.Histogram // of hits, of what is relayed
	upstream [3]histogram.Histogram // loads, what passes through, probes
	age      [2]histogram.Ages      // from memory, from Redis
	saved    atomic.Int64           // nanoseconds
}

const (
	overheadOfHits = iota
	overheadOfRelayed
)

const (
	upstreamLoads = iota
	upstreamBypasses
	upstreamProbes
)

// Times are what statements took since the server began, in seconds.
type Times struct {
	// Latency is from a client's message to the last byte of its answer, by the name of the
	// outcome. Upstream is how long Postgres took: for "load", "bypass" and "probe".
	// Overhead is what of the latency was not Postgres', of "hit" and of "relay".
	Latency, Upstream, Overhead map[string]histogram.Reading
	// HitAge is how old the entries were that were served, from "memory" and from "redis".
	HitAge map[string]histogram.Reading
	// SavedSeconds is what the loads of all the entries took that were served instead.
	SavedSeconds float64
}

func (t *times) read() Times {
	r := Times{
		Latency:  make(map[string]histogram.Reading, outcomes),
		Upstream: map[string]histogram.Reading{"load": t.upstream[upstreamLoads].Read(), "bypass": t.upstream[upstreamBypasses].Read(), "probe": t.upstream[upstreamProbes].Read()},
		Overhead: map[string]histogram.Reading{"hit": t.overhead[overheadOfHits].Read(), "relay": t.overhead[overheadOfRelayed].Read()},
		HitAge:   map[string]histogram.Reading{"memory": t.age[0].Read(), "redis": t.age[1].Read()},

		SavedSeconds: time.Duration(t.saved.Load()).Seconds(),
	}
	for o := range outcomes {
		r.Latency[o.String()] = t.queries[o].Read()
	}
	return r
}

// hits are those of one session whose answers are not written yet.
type hits struct {
	n     [outcomes]int // by outcome: HitL1, HitL2, Coalesced, Consented
	any   bool
	saved time.Duration
}

// note notes that a client's read, which arrived at a moment, is answered with an entry.
func (h *hits) note(of *identity, entry *engine.Entry, how Outcome, arrived fence.Instant) {
	h.any = true
	h.n[how]++
	h.saved += entry.Took()
	tier := 0
	if how == HitL2 {
		tier = 1
	}
	age := entry.Age(arrived)
	of.server.counters.times.age[tier].Observe(age)
	of.server.cache.NoteHit(entry, age)
	if how == Consented {
		of.server.cache.NoteAge(entry, age)
	}
	if of.server.access != nil {
		of.logHit(entry, how, arrived)
	}
}

// measureHits takes the time of the hits whose answers were just written.
func (s *session) measureHits() {
	if s.hits.any {
		s.hits.measure(&s.server.counters.times, fence.Now().Sub(s.arrival()))
	}
}

// measure takes the time of the hits: all of them took the same, since they were written together.
func (h *hits) measure(t *times, took time.Duration) {
	for how, n := range &h.n {
		if n > 0 {
			t.queries[how].Observe(took, n)
			t.overhead[overheadOfHits].Observe(took, n)
		}
	}
	t.saved.Add(int64(h.saved))
	*h = hits{}
}

// measure has the unit measured that is about to be sent to Postgres.
func (s *session) measure(how Outcome, reason string, spent ...*atomic.Int64) {
	if s.plan.executions == 0 {
		return
	}
	m := conversation.Measure{Arrived: s.arrival(), As: int(how)}
	copy(m.Spent[:], spent)
	if s.server.access != nil {
		m.Note = s.recordsOf(reason)
	}
	s.talk.Measure(m)
}

// measureRelayed takes the time of a unit whose last answer was just written.
func (s *Server) measureRelayed(m *conversation.Measured) {
	t := &s.counters.times
	took, upstream := fence.Now().Sub(m.Arrived), m.Ended.Sub(m.Sent)
	kind := upstreamBypasses
	if Outcome(m.As) == Miss {
		kind = upstreamLoads
	}
	t.upstream[kind].Observe(upstream, 1)
	t.overhead[overheadOfRelayed].Observe(took-upstream, 1)
	how := Outcome(m.As)
	if m.Failed {
		how = Failed
	}
	t.queries[how].Observe(took, 1)
	if m.Note != nil {
		s.logRelayed(m.Note.([]accesslog.Record), how, took)
	}
}
