package invalidation

import (
	"context"
	"sync"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// restPulse is the time between two looks of a follower that rests. It is well below
// idleMax, or the server would end the session.
const restPulse = 10 * time.Second

// Looks prove to readers that what they read is fresh. Where nobody reads they cost
// Postgres something and bring nobody anything. So a follower rests once nobody has read
// for FollowerOptions.RestAfter: it makes no looks but for a pulse, no audits, and hangs up
// the doorbell, so that no writer rings for it.
//
// What was proven before must serve nobody afterwards, however much staleness a reader
// allows:
//
//  1. the last look completes, and nobody reads for long;
//  2. the follower rests: it takes the proof away (fence.Rest), then looks stop;
//  3. a writer commits, and nobody is told;
//  4. a reader finds an entry from before 3. Nothing vouches for it, so the reader waits
//     for a look that begins now, which ends the rest, or goes to Postgres.
//
// (TestWhoReadsAfterARestHasANewLook, TestScriptsFindNothingWrongWithTheProduct)
//
// A look that was asked for while a rest began is not forgotten:
//
//  1. a reader finds no proof, and asks for a look: the wish lies in audience.wake;
//  2. the looker, which made its last look before, begins to rest;
//  3. it waits for wishes in its rest as ever, and finds that one at once.
//
// (TestWishBesideTheBeginningOfARest)
//
// The pulse files what was written meanwhile, so that no look has more to read than it may,
// and finds a connection that was lost. It vouches for nothing:
//
//  1. a role is given a right, which no event reports;
//  2. the pulse looks, without an audit, and completes;
//  3. a reader comes, and would be served at a head that includes 1, by what was
//     analysed before.
//
// The look of a reader's own is preceded by the audits that were left out.
// (TestPulseVouchesForNothing)

// resting is what decides when to rest. It belongs to the goroutine that looks.
type resting struct {
	// since is when somebody was last known to read, reads what FollowerOptions.Reads was
	// then.
	since fence.Instant
	reads uint64
}

// restDue reports whether nobody has read for so long that it is time to rest.
func (l *looker) restDue(now fence.Instant) bool {
	f := l.f
	if f.restAfter == 0 {
		return false
	}
	l.resting.since = max(l.resting.since, fence.Instant(f.audience.wishedAt.Load()))
	if now.Sub(l.resting.since) < f.restAfter || f.audience.awaited() {
		return false
	}
	if f.reads != nil {
		if reads := f.reads(); reads != l.resting.reads {
			l.resting.reads, l.resting.since = reads, now
			return false
		}
	}
	return true
}

// rest makes no look until somebody wants one.
func (l *looker) rest(ctx context.Context) error {
	l.f.fence.Rest()
	l.f.resting.set(true)
	defer l.f.resting.set(false)
	ending, cancel := context.WithTimeout(ctx, statementWaitMax)
	err := l.vigil.end(ending, l.conn)
	cancel()
	if err != nil {
		return err
	}
	l.f.stats.awake.Store(false)
	pulse := time.NewTicker(l.f.pulse)
	defer pulse.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.f.audience.wake: // by a reader, or by the keeper
		case <-pulse.C:
		}
		if !l.restDue(fence.Now()) {
			return nil
		}
		if _, _, err := l.lookFor(ctx, fence.Now(), 0); err != nil {
			return err
		}
	}
}

// restState says to the other parts whether the follower rests. The looker sets it.
type restState struct {
	mu      sync.Mutex
	resting bool
	changed chan struct{} // closed when resting changes, nil if nobody waits for that
}

func (r *restState) set(resting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resting == resting {
		return
	}
	r.resting = resting
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *restState) now() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resting
}

// change returns what is closed when the follower begins to rest, or ends it.
func (r *restState) change() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// over returns when the follower does not rest, or with an error when ctx ends.
func (r *restState) over(ctx context.Context) error {
	for {
		changed := r.change()
		if !r.now() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
