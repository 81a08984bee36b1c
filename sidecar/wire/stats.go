package wire

import (
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/sidecar/internal/count"
)

// Outcome says how one query was answered.
type Outcome int

// The outcomes of a query.
const (
	HitL1     Outcome = iota // from this process's memory
	HitL2                    // from Redis
	Coalesced                // from the load of another client that was under way
	Miss                     // from Postgres, and captured for the next
	Bypass                   // from Postgres, for a reason that has a name
	Failed                   // Postgres answered with an error
	outcomes
)

// String gives the name used in counters, metrics and documents.
func (o Outcome) String() string {
	return [...]string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass", "error"}[o]
}

// Report is a reading of the counters since the server began.
type Report struct {
	// Queries counts executed statements by the name of their outcome.
	Queries map[string]uint64 `json:"queries"`
	// Bypasses counts the queries with outcome bypass by the name of the reason.
	Bypasses map[string]uint64 `json:"bypasses"`
	// Sessions is the number of clients connected now.
	Sessions int64 `json:"sessions"`
	count.Counts
}

// counters are shared by all sessions of a server.
type counters struct {
	queries  [outcomes]atomic.Uint64
	bypasses sync.Map // reason name → *atomic.Uint64
	sessions atomic.Int64
	count.Counters
}

func (c *counters) bypass(reason string) {
	c.queries[Bypass].Add(1)
	n, ok := c.bypasses.Load(reason)
	if !ok {
		n, _ = c.bypasses.LoadOrStore(reason, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

func (c *counters) report() Report {
	r := Report{
		Queries:  make(map[string]uint64, outcomes),
		Bypasses: map[string]uint64{},
		Sessions: c.sessions.Load(),
		Counts:   count.Read(&c.Counters),
	}
	for o := range outcomes {
		r.Queries[o.String()] = c.queries[o].Load()
	}
	c.bypasses.Range(func(reason, n any) bool {
		r.Bypasses[reason.(string)] = n.(*atomic.Uint64).Load()
		return true
	})
	return r
}
