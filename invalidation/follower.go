package invalidation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/connection"
)

const (
	pollDefault      = 100 * time.Millisecond
	retentionDefault = time.Hour
	verifyDefault    = time.Second

	// retentionPollsMin is how many polls fit into the retention at least.
	retentionPollsMin = 5

	// connectWaitMax bounds opening a connection and its first statements.
	connectWaitMax = 10 * time.Second
	// The pause before a connection is opened again doubles from the first to the
	// second, and starts anew once a connection worked for as long as the second.
	reconnectPauseMin = 50 * time.Millisecond
	reconnectPauseMax = 2 * time.Second
)

// FollowerOptions configure a Follower.
type FollowerOptions struct {
	// ConnConfig leads to the primary, directly or through a pooler in session mode,
	// as one of Options.FollowerRoles or the role that installed. Three connections
	// are used, two while it rests. Required.
	ConnConfig *pgx.ConnConfig
	// BeforeConnect, unless nil, is called before each of them is opened, with what it
	// is opened with: passwords that rotate and tokens that expire are read there.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	// Fence is told what is found. Only this follower may tell it. Required.
	Fence *fence.Fence
	// Poll is the longest time between two looks. It must not be more than half the
	// staleness that readers allow, or an idle database looks stale. 0 means 100 ms.
	Poll time.Duration
	// Watch holds patterns as in Options: matching tables that appear are installed
	// by the follower, and columns that a pattern names are added. Nothing is ever
	// taken away. A role without the right to create anything in schema freshet only
	// reports what is missing. Empty: what is installed is watched.
	Watch []string
	// Retention is how long events are kept at least. It must not be less than the
	// longest life of an entry in Redis, or entries are distrusted after a start.
	// 0 means an hour.
	Retention time.Duration
	// Verify is how often the triggers, the roles and their settings are compared
	// with what was last seen: what no event reports is noticed after at most twice
	// this time. 0 means a second.
	Verify time.Duration
	// Definitions is, where event triggers are missing, how often the definitions of
	// tables, views, functions and all else are compared, and how much earlier than
	// other reads those must be refused that rely on the last comparison. It must not
	// be more than half the staleness that readers allow. 0 means 500 ms.
	Definitions time.Duration
	// RestAfter is after how long without reads the follower rests: it looks every ten
	// seconds, leaves audits out, and keeps two connections. The first read afterwards waits
	// for a look. 0: it never rests.
	RestAfter time.Duration
	// Reads, unless nil, returns a number that moves with reads. It is asked no more often
	// than every RestAfter. Who waits for a look (Confirm, Wake) is known to read without it.
	Reads func() uint64
	// Relay, unless nil, carries hints between followers: see Relay. While others are
	// heard, this one looks every Proof only.
	Relay Relay
	// Proof is the longest time between two looks while others are heard, and what they
	// say is of no use here. It must not be more than half the staleness that readers
	// allow. 0, or less than Poll, means Poll.
	Proof time.Duration
	// OnSchema, unless nil, is called when names, rights, watched tables or settings
	// may have changed, after State and before the head with that event is
	// published. Looks wait for it: it must be quick and must not call Confirm.
	OnSchema func()
	// OnEvents, unless nil, is told how many events a look brought, and how long ago they
	// were committed at most: the look before, which lacked them, began then. Looks wait
	// for it: it must be quick.
	OnEvents func(n int, delayMax time.Duration)
	// OnDistrusted, unless nil, is told of the shapes that are distrusted (see Distrust), all of
	// them, before the first head is published and whenever they may be others. Looks wait for
	// it: it must be quick and must not call Confirm.
	OnDistrusted func([]Distrusted)
	// Logger is told of connections, resets and problems. nil means nobody is.
	Logger *slog.Logger
}

// InstallProblem says that what all tables share is not in place as this version needs it, and
// which command mends that; empty if it is, or nothing is known yet.
func (f *Follower) InstallProblem() string {
	misfit := f.State().misfit
	if misfit == "" {
		return ""
	}
	return fmt.Sprintf("what is installed in the database is not what this version needs (%s), so every read goes to Postgres: run, as the role that installed or a superuser, %s",
		misfit, installCommand(f.watch, f.config.User))
}

// Follower keeps a fence informed. See NewFollower.
type Follower struct {
	config        *pgx.ConnConfig
	beforeConnect connection.BeforeFunc
	fence         *fence.Fence
	poll          time.Duration
	watch         []string
	restAfter     time.Duration
	reads         func() uint64
	// pulse is the time between two looks while resting: restPulse, except in tests.
	pulse time.Duration
	// retention and definitions are FollowerOptions', until SetRetention and
	// SetDefinitions.
	retention   atomic.Int64
	verify      time.Duration
	definitions atomic.Int64
	// proof is FollowerOptions', until SetProof.
	proof        atomic.Int64
	onSchema     func()
	onEvents     func(n int, delayMax time.Duration) // nil: nobody is told
	onDistrusted func([]Distrusted)                  // nil: nobody is told
	logger       *slog.Logger

	audience *audience
	resting  restState
	bell     *doorbell
	hints    *hints
	stats    counters
	heads    heads
	state    atomic.Pointer[State]
	// audited is what the state was made from, and auditedAt when that was last
	// found to be still so.
	audited   atomic.Pointer[audit]
	auditedAt atomic.Int64
	// suspect is set when something else may be than the state was made of;
	// unreported when the next look has to reset the fence because of it.
	suspect    atomic.Bool
	unreported atomic.Bool
	// wanting says what a role with more rights should install, nil if nothing.
	wanting atomic.Pointer[string]
	// installs holds one element if new tables should be looked for.
	installs chan struct{}
	// lessons are columns to watch too.
	lessons chan lesson
	// changes are those of definitions whose tables the keeper is to ask for.
	changes chan definitionChange
	// attempted is closed when the keeper has tried to install for the first time.
	attempted chan struct{}
}

// NewFollower returns a follower that has not begun: until Run has made the
// first look, the fence admits nothing and Confirm fails.
func NewFollower(o FollowerOptions) (*Follower, error) {
	if o.ConnConfig == nil || o.Fence == nil {
		return nil, errors.New("make a follower: ConnConfig and Fence are required")
	}
	if o.Poll < 0 || o.Retention < 0 || o.Verify < 0 || o.Definitions < 0 || o.RestAfter < 0 || o.Proof < 0 {
		return nil, errors.New("make a follower: Poll, Retention, Verify, Definitions, RestAfter and Proof must not be negative")
	}
	if len(o.Watch) > 0 {
		if _, err := parsePatterns(o.Watch); err != nil {
			return nil, err
		}
	}
	poll, retention := orDefault(o.Poll, pollDefault), orDefault(o.Retention, retentionDefault)
	if longest := max(poll, o.Proof); retention < retentionPollsMin*longest {
		return nil, fmt.Errorf("make a follower: Retention %v must be at least %d times Poll and Proof, %v, or events are deleted unseen", retention, retentionPollsMin, longest)
	}
	f := &Follower{
		config: o.ConnConfig.Copy(), beforeConnect: o.BeforeConnect, fence: o.Fence, watch: slices.Clone(o.Watch),
		poll: poll, verify: orDefault(o.Verify, verifyDefault), restAfter: o.RestAfter, reads: o.Reads, pulse: restPulse,
		onSchema: o.OnSchema, onEvents: o.OnEvents, onDistrusted: o.OnDistrusted, logger: o.Logger,
		audience: newAudience(), installs: make(chan struct{}, 1), lessons: make(chan lesson, lessonsMax), changes: make(chan definitionChange, changesMax), attempted: make(chan struct{}),
	}
	if f.onSchema == nil {
		f.onSchema = func() {}
	}
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	f.retention.Store(int64(retention))
	f.definitions.Store(int64(orDefault(o.Definitions, definitionsDefault)))
	f.proof.Store(int64(o.Proof))
	f.stats.failures = map[string]uint64{partLooker: 0, partDoorbell: 0, partKeeper: 0}
	f.stats.working = map[string]bool{partLooker: false, partDoorbell: false, partKeeper: false}
	f.bell = newDoorbell(f)
	f.hints = newHints(f, o.Relay)
	f.state.Store(&State{})
	return f, nil
}

func orDefault(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// Run follows until ctx ends, and returns nil then. It connects again after
// every failure. It may be called once.
func (f *Follower) Run(ctx context.Context) error {
	l := &looker{f: f}
	k := &keeper{f: f}
	var parts sync.WaitGroup
	parts.Go(func() { f.repeat(ctx, partLooker, l.session, f.audience.shut, f.audience.wake) })
	parts.Go(func() { f.repeat(ctx, partDoorbell, f.bell.session, func(error) {}, nil) })
	parts.Go(func() { f.repeat(ctx, partKeeper, k.session, func(error) {}, nil) })
	parts.Go(func() { f.hints.run(ctx) })
	parts.Wait()
	f.audience.shut(errNotRunning)
	return nil
}

// repeat runs sessions of one part until ctx ends. failed is told of each end in an error.
// hurry, unless nil, cuts a pause short: a reader who wants a look has reached Postgres.
func (f *Follower) repeat(ctx context.Context, part string, session func(context.Context) error, failed func(error), hurry <-chan struct{}) {
	pause, said := reconnectPauseMin, complaint{}
	for ctx.Err() == nil {
		began := time.Now()
		err := session(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			pause = reconnectPauseMin
			continue
		}
		err = fmt.Errorf("%s: %w", part, err)
		failed(err)
		f.stats.failed(part, err)
		if said.isNew(err) {
			f.logger.Warn("connect again", "part", part, "error", err)
		}
		if time.Since(began) >= reconnectPauseMax {
			pause = reconnectPauseMin
		}
		wait(ctx, pause/2+rand.N(pause/2+1), hurry)
		pause = min(2*pause, reconnectPauseMax)
	}
}

// complaintAgain is after how long an error is said again that goes on.
const complaintAgain = time.Minute

// complaint is the error that a part said last, and when.
type complaint struct {
	text string
	at   time.Time
}

// isNew notes an error, and reports whether it is to be said: what cannot work is tried
// twice a second, and an operator is to find what else the log has.
func (c *complaint) isNew(err error) bool {
	text, now := err.Error(), time.Now()
	if text == c.text && now.Sub(c.at) < complaintAgain {
		return false
	}
	*c = complaint{text, now}
	return true
}

// wait waits for a pause, or for hurry, but not for less than reconnectPauseMin.
func wait(ctx context.Context, pause time.Duration, hurry <-chan struct{}) {
	least := min(pause, reconnectPauseMin)
	select {
	case <-ctx.Done():
		return
	case <-time.After(least):
	}
	select {
	case <-ctx.Done():
	case <-hurry:
	case <-time.After(pause - least):
	}
}

// SetRetention changes FollowerOptions.Retention, from the next trimming on.
func (f *Follower) SetRetention(d time.Duration) { f.retention.Store(int64(d)) }

// SetDefinitions changes FollowerOptions.Definitions, from the next look on. Each look
// tells the fence what holds for it, so it may be called before or after the staleness
// of readers is changed.
func (f *Follower) SetDefinitions(d time.Duration) { f.definitions.Store(int64(d)) }

// SetProof changes FollowerOptions.Proof, from the next look on, which it asks for.
func (f *Follower) SetProof(d time.Duration) {
	f.proof.Store(int64(d))
	f.audience.ring()
}

// State returns what is watched. It is empty before the first look. Ask the
// fence first whether it is fresh: without a connection the state is the last
// one known.
func (f *Follower) State() *State { return f.state.Load() }

// requestInstall asks the keeper to look for new tables.
func (f *Follower) requestInstall() {
	select {
	case f.installs <- struct{}{}:
	default:
	}
}

// Suspect says that something may have been changed that no event reports: roles,
// settings, or definitions where event triggers are missing. Every look that begins
// from now on is later than an audit of that. So who calls it, and then has readers
// confirm what was acknowledged by then (fence.MarkAll, Confirm), has them wait for
// the audit:
//
//  1. a moment is read that readers are to confirm;
//  2. a look begins, and asks whether anything is suspected;
//  3. Suspect is called;
//  4. the look completes: it began after the moment, and nobody audited.
//
// So it is called before 1. (TestSuspectedChangesAreComparedByTheNextLook,
// TestSuspectedDefinitionsAreComparedByTheNextLook)
func (f *Follower) Suspect() { f.suspect.Store(true) }

// auditOverdue reports whether the looker has to audit itself, because the keeper
// found nothing at all for too long.
func (f *Follower) auditOverdue(now fence.Instant) bool {
	return now.Sub(fence.Instant(f.auditedAt.Load())) > 2*f.verify
}
