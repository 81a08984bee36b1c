package wire

import (
	"context"
	"sync/atomic"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/verify"
)

// database is what the sessions of one database share to understand their clients, to ask Postgres
// and to decide: where answers lie, what is known of the schema and of statements, what an operator
// says of them. It knows of no session, accepts nobody and connects to nothing.
type database struct {
	cache    *engine.Cache
	fence    *fence.Fence
	follower Follower
	replica  Replica // nil: none
	verdicts *shapes.Book
	keyed    keyedNames
	// learnFunc is Options.Learn, reportFunc Options.ReportFunc.
	learnFunc  func(root uint32, column string)
	reportFunc func(name string) string
	verifier   *verify.Verifier // nil: none
	// background is the context of what outlasts a session.
	background context.Context
	// asking is how long a read takes to ask for all that is not known.
	asking shapes.Average
	// shortRuns is shortRunsMin, unless a test wants more reads spared, or none.
	shortRuns atomic.Int64
	// afterLooked, unless nil, is called by sound between its questions, for tests that force
	// an interleaving there.
	afterLooked func()
	// rules are those of SetRules, nil if there are none.
	rules atomic.Pointer[rules.Set]
	// rulesSet counts the calls of SetRules.
	rulesSet atomic.Uint64
	// off is set by SwitchOff, shared by ShareServers.
	off, shared atomic.Bool
	// counters come last: before what a hit reads, they made it a tenth slower.
	counters counters
}

// offReason is why nothing is answered from the cache, whoever asks; empty if there is no
// such reason.
func (d *database) offReason() string {
	switch {
	case d.off.Load():
		return reasons.AllOff
	case d.shared.Load():
		return reasons.Shared
	}
	return ""
}
