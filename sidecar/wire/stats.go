package wire

import (
	"sync"
	"sync/atomic"
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
	// UpstreamQueries counts the statements that were sent to Postgres for
	// clients, and UpstreamProbes the questions that the sidecar asked of its own.
	UpstreamQueries uint64 `json:"upstream_queries"`
	UpstreamProbes  uint64 `json:"upstream_probes"`
	// TransactionsHeld counts the transactions whose BEGIN was held back, and
	// TransactionsOpened those of them that Postgres was told of later.
	TransactionsHeld   uint64 `json:"transactions_held"`
	TransactionsOpened uint64 `json:"transactions_opened"`
	// Sessions is the number of clients connected now, SessionsTotal since the
	// beginning, SessionsRefused those that got no upstream connection, or that Postgres or the
	// sidecar sent away when they connected.
	Sessions        int64  `json:"sessions"`
	SessionsTotal   uint64 `json:"sessions_total"`
	SessionsRefused uint64 `json:"sessions_refused"`
	// ProtocolErrors counts clients that were sent away for malformed messages.
	ProtocolErrors uint64 `json:"protocol_errors"`
	// Panics counts sessions that were ended by a fault of the sidecar's own.
	Panics uint64 `json:"panics"`
	// Cancels counts cancel requests that were passed on.
	Cancels uint64 `json:"cancels"`
}

// counters are shared by all sessions of a server.
type counters struct {
	queries         [outcomes]atomic.Uint64
	bypasses        sync.Map // reason name → *atomic.Uint64
	upstreamQueries atomic.Uint64
	upstreamProbes  atomic.Uint64
	blocksHeld      atomic.Uint64
	blocksOpened    atomic.Uint64
	sessions        atomic.Int64
	sessionsTotal   atomic.Uint64
	sessionsRefused atomic.Uint64
	panics          atomic.Uint64
	protocolErrors  atomic.Uint64
	cancels         atomic.Uint64
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
		Queries:         make(map[string]uint64, outcomes),
		Bypasses:        map[string]uint64{},
		UpstreamQueries: c.upstreamQueries.Load(),
		UpstreamProbes:  c.upstreamProbes.Load(),

		TransactionsHeld:   c.blocksHeld.Load(),
		TransactionsOpened: c.blocksOpened.Load(),

		Sessions:        c.sessions.Load(),
		SessionsTotal:   c.sessionsTotal.Load(),
		SessionsRefused: c.sessionsRefused.Load(),
		Panics:          c.panics.Load(),
		ProtocolErrors:  c.protocolErrors.Load(),
		Cancels:         c.cancels.Load(),
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
