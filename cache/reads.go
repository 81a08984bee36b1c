package cache

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/engine"
)

// ReadStats count the reads that OnRead is told of, by their outcomes. A statement of a
// function's load is a read besides that of the function.
type ReadStats struct {
	Hits   uint64 // from the memory of this process
	Remote uint64 // from the second tier
	Joined uint64 // from another reader's load
	Loaded uint64 // loaded for all
	Stale  uint64 // old values beside an error: Policy.Grace
	Failed uint64 // loads that failed, and statements for which there was no connection

	// Misses are those loaded for all, by what there was instead of an entry: "cold",
	// "expired", "invalidated", "evicted", "unproven", "overtaken" or "too_large".
	Misses map[string]uint64
	// NotKept are those loaded for one reader alone, by the reason: Read.Reason. Whether
	// Postgres answered a statement with an error is not looked at.
	NotKept map[string]uint64
}

// outcomes count reads as they end, but for the hits that are counted where they are
// found.
type outcomes struct {
	by     [len(outcomeNames)]atomic.Uint64
	misses [engine.Causes]atomic.Uint64

	mu      sync.Mutex
	notKept map[string]uint64
}

// note counts a read.
func (o *outcomes) note(c course) {
	if c.outcome != OutcomeNotKept {
		o.by[c.outcome].Add(1)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.notKept == nil {
		o.notKept = map[string]uint64{}
	}
	o.notKept[c.reason]++
}

// missed counts what there was instead of an entry that is loaded.
func (o *outcomes) missed(cause engine.Cause) { o.misses[cause].Add(1) }

// stats are the counts; hits are those that were counted elsewhere.
func (o *outcomes) stats(hits uint64) ReadStats {
	s := ReadStats{
		Hits: hits + o.by[OutcomeHit].Load(), Remote: o.by[OutcomeRemote].Load(), Joined: o.by[OutcomeJoined].Load(),
		Loaded: o.by[OutcomeLoaded].Load(), Stale: o.by[OutcomeStale].Load(), Failed: o.by[OutcomeFailed].Load(),
		Misses: map[string]uint64{},
	}
	for cause := range engine.Causes {
		if n := o.misses[cause].Load(); n > 0 {
			s.Misses[cause.String()] = n
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s.NotKept = maps.Clone(o.notKept)
	return s
}
