package wire

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/count"
	"github.com/freshet/freshet/sidecar/internal/protocol"
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
	Consented                // from memory, out of date for a time that the statement accepts
	outcomes
)

// String gives the name used in counters, metrics and documents.
func (o Outcome) String() string {
	return [...]string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass", "error", "consented"}[o]
}

// Report is a reading of the counters since the server began.
type Report struct {
	// Queries counts executed statements by the name of their outcome.
	Queries map[string]uint64 `json:"queries"`
	// Bypasses counts the queries with outcome bypass by the name of the reason, and
	// BypassSeconds is the time that Postgres took for them.
	Bypasses      map[string]uint64  `json:"bypasses"`
	BypassSeconds map[string]float64 `json:"bypass_seconds"`
	// Misses counts those with outcome miss by what there was instead of an entry.
	Misses map[string]uint64 `json:"misses"`
	Times
	// Sessions is the number of clients connected now.
	Sessions int64 `json:"sessions"`
	count.Counts
}

// counters are shared by all sessions of a server.
type counters struct {
	queries  [outcomes]atomic.Uint64
	bypasses sync.Map // reason name → *bypassCount
	misses   [engine.Causes]atomic.Uint64
	times    times
	sessions atomic.Int64
	count.Counters
}

// countRefused counts a client that was sent away when it connected, by the reason, which
// is one of the counters.
func (c *counters) countRefused(reason *atomic.Uint64) {
	c.SessionsRefused.Add(1)
	reason.Add(1)
}

// authenticationCodes begin the SQLSTATEs by which Postgres says that a client is not whom
// it says, or may not come from where it does.
const authenticationCodes = "28"

// countRefusedByPostgres counts a client that Postgres has sent away with an ErrorResponse.
func (c *counters) countRefusedByPostgres(message []byte) {
	if strings.HasPrefix(protocol.ErrorCode(message), authenticationCodes) {
		c.countRefused(&c.RefusedForPassword)
		return
	}
	c.countRefused(&c.RefusedByPostgres)
}

// bypassCount is what passed through for one reason.
type bypassCount struct {
	n     atomic.Uint64
	spent atomic.Int64 // nanoseconds of Postgres'
}

// bypass counts statements that pass through for a reason.
func (c *counters) bypass(reason string, statements int) *bypassCount {
	counted, ok := c.bypasses.Load(reason)
	if !ok {
		counted, _ = c.bypasses.LoadOrStore(reason, new(bypassCount))
	}
	b := counted.(*bypassCount)
	c.queries[Bypass].Add(uint64(statements))
	b.n.Add(uint64(statements))
	return b
}

func (c *counters) report() Report {
	r := Report{
		Queries:  make(map[string]uint64, outcomes),
		Bypasses: map[string]uint64{}, BypassSeconds: map[string]float64{},
		Misses:   make(map[string]uint64, engine.Causes),
		Times:    c.times.read(),
		Sessions: c.sessions.Load(),
		Counts:   count.Read(&c.Counters),
	}
	for o := range outcomes {
		r.Queries[o.String()] = c.queries[o].Load()
	}
	for cause := range engine.Causes {
		r.Misses[cause.String()] = c.misses[cause].Load()
	}
	c.bypasses.Range(func(reason, counted any) bool {
		b := counted.(*bypassCount)
		r.Bypasses[reason.(string)] = b.n.Load()
		r.BypassSeconds[reason.(string)] = time.Duration(b.spent.Load()).Seconds()
		return true
	})
	return r
}
