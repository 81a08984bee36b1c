package cache

import (
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
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

	// Reads say how reads were answered.
	Reads ReadStats
	// Statements are what was read through Query, QueryRow and OpenSQL, the kinds first
	// on which most time was saved or spent: the first StatementsMax that were met.
	Statements []StatementStats
	// Functions are the wrapped ones, by name.
	Functions map[string]FunctionStats

	ReplicaLoads   uint64 // answers that came from Policy.Replica
	ReplicaRefused uint64 // attempts that the primary had to answer: lag, an error, not vouched for

	// Staleness is Options.Staleness, or its default.
	Staleness time.Duration
	// HeadAge is how long ago the newest look at the database began: what was committed
	// before is shown. 0 before the first. It and Follower, what follows the database, are
	// DB.Stats' alone.
	HeadAge  time.Duration
	Follower invalidation.FollowerStats
}

// FunctionStats say what became of a function's reads, and what keeps it from being
// cached as well as it could be.
type FunctionStats struct {
	Hits       uint64 // reads that were answered from memory; of many keys, each
	Loads      uint64 // loads of any kind; of many keys, one
	LoadErrors uint64 // those that failed
	// Loading is what the loads took.
	Loading time.Duration
	// MemoryOnly is why its values are not shared with other processes, empty if
	// they are.
	MemoryOnly string
	// NotKept is why the answer of the last load was not kept, empty if it was.
	NotKept string
	// Problems are what its dependencies name and is not watched: a typo, a view, a
	// column without tags. Each with what may have been meant.
	Problems []string
}

// Saved is what hits have saved, had each taken as long as the average load.
func (s FunctionStats) Saved() time.Duration { return saved(s.Hits, s.Loads, s.Loading) }

// Stats returns counts that were each right at some moment of the call.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{
		Stats: c.engine.Stats(), Functions: c.functions.stats(),
		Loads: n.loads.Load(), LoadErrors: n.loadErrors.Load(), Unwatched: n.unwatched.Load(),
		ReplicaLoads: n.replicaLoads.Load(), ReplicaRefused: n.replicaRefused.Load(),
		Staleness: c.engine.Staleness(),
	}
	for _, f := range s.Functions {
		s.Hits += f.Hits // the engine has not counted them
	}
	s.Reads = c.outcomes.stats(s.Hits)
	return s
}
