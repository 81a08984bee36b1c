package cache

import (
	"sync/atomic"

	"github.com/freshet/freshet/cache/engine"
)

// counters are what wrapped functions count.
type counters struct {
	loads, loadErrors, unwatched atomic.Uint64
	replicaLoads, replicaRefused atomic.Uint64
}

// Stats are counts since New.
type Stats struct {
	// Stats are those of the tiers.
	engine.Stats

	Loads      uint64 // loads of wrapped functions, of any kind
	LoadErrors uint64 // those that failed
	Unwatched  uint64 // those whose answer depends on what is not watched

	ReplicaLoads   uint64 // answers that came from Policy.Replica
	ReplicaRefused uint64 // attempts that the primary had to answer: lag, an error, not vouched for
}

// Stats returns counts that were each right at some moment of the call.
func (c *Cache) Stats() Stats {
	n := &c.counters
	return Stats{
		Stats: c.engine.Stats(),
		Loads: n.loads.Load(), LoadErrors: n.loadErrors.Load(), Unwatched: n.unwatched.Load(),
		ReplicaLoads: n.replicaLoads.Load(), ReplicaRefused: n.replicaRefused.Load(),
	}
}
