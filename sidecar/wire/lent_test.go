package wire

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// lentSidecar lends a test a bed of itemSchema with one patient sidecar that other tests have used
// before and others will use again: a sidecar's start with its database costs more processor time
// than all that a small test asks of it. Nobody else uses the bed before the test has ended. When
// it has, the rows of item are made anew, which ends every answer that is kept of them.
//
// It is for tests that run beside others and
//   - change rows of item and sessions of their own, and no definition, role, setting of the
//     database, option or field of the sidecar, nor the session of testbed.direct;
//   - count by differences, and only what one sidecar counts: no scans of a table, no goroutines,
//     nothing allocated, no statements of the whole server;
//   - need nothing to be new: the sidecar may know each statement, and what it costs.
//
// Faults, lost connections to the follower, purges and forced interleavings of the follower need
// newTestbed.
func lentSidecar(t *testing.T) *side {
	t.Helper()
	return lent.lend(t)
}

var lent lender

// lentIdleMax is how long a bed waits to be lent again before it is closed: its follower and its
// database take as much in that time as to start them takes.
const lentIdleMax = 20 * time.Second

// lender keeps the beds that nobody has borrowed.
type lender struct {
	mu sync.Mutex
	// idle are the beds that wait to be lent. The last that came in is lent first, so that beds
	// beyond those that the tests need wait for lentIdleMax and are closed.
	idle    []*lentBed
	closing sync.WaitGroup // waits for the beds that retire closes
}

// lentBed is a database and a sidecar before it, lent to one test after the other.
type lentBed struct {
	keeper *keeper
	bed    *testbed
	side   *side
	// schemas counts how often the follower has reported that definitions may have changed.
	schemas atomic.Int64
	// idle closes the bed that nobody has borrowed in time, and turns counts how often the bed was
	// taken out of lender.idle. Both are under the lender's lock.
	idle  *time.Timer
	turns int
}

// lend returns the sidecar of a bed that waits, or of a new one. Behind the test the bed is kept
// for the next one, unless the test has failed or has changed definitions.
func (l *lender) lend(t *testing.T) *side {
	t.Helper()
	b := l.take()
	if b == nil {
		b = startLentBed(t)
	}
	schemas := b.schemas.Load()
	bed, s := *b.bed, *b.side
	bed.t, bed.sides, s.bed = t, nil, &bed
	t.Cleanup(func() { // runs behind what the test itself registers
		kept := false
		defer func() {
			if !kept {
				b.keeper.close()
			}
		}()
		if s.renew(t); !t.Failed() && b.schemas.Load() == schemas {
			l.keep(b)
			kept = true
		}
	})
	return &s
}

// startLentBed starts a bed whose changes of definitions are counted.
func startLentBed(t *testing.T) *lentBed {
	t.Helper()
	b := &lentBed{keeper: &keeper{TB: t}}
	made := false
	defer func() {
		if !made {
			b.keeper.close()
		}
	}()
	b.bed = newTestbed(b.keeper, itemSchema)
	b.side = b.bed.sidecar(patient, func(_ *engine.Options, f *invalidation.FollowerOptions) {
		changed := f.OnSchema
		f.OnSchema = func() {
			b.schemas.Add(1)
			changed()
		}
	})
	made = true
	return b
}

// renew waits until the test's sessions have ended, makes the rows of the lent bed anew, and waits
// until the sidecar has received that.
func (s *side) renew(t *testing.T) {
	t.Helper()
	servers.Eventually(t, "the sessions of a lent sidecar to end", func() bool { return s.Report().Sessions == 0 })
	if _, err := s.bed.direct.Exec(context.Background(), "TRUNCATE item; "+itemRows); err != nil {
		t.Errorf("make the rows of a lent bed anew: %v", err)
		return
	}
	s.received()
}

// take returns a bed that waits, nil if there is none.
func (l *lender) take() *lentBed {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) == 0 {
		return nil
	}
	b := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	b.idle.Stop() // if the timer has fired already, retire finds that turns has changed
	b.turns++
	return b
}

// keep has a bed wait to be lent again, for lentIdleMax at most.
func (l *lender) keep(b *lentBed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, b)
	turns := b.turns
	b.idle = time.AfterFunc(lentIdleMax, func() { l.retire(b, turns) })
}

// retire closes a bed that waits, unless it was lent since turns was read.
func (l *lender) retire(b *lentBed, turns int) {
	l.mu.Lock()
	at := slices.Index(l.idle, b)
	if at < 0 || b.turns != turns {
		l.mu.Unlock()
		return
	}
	l.idle = slices.Delete(l.idle, at, at+1)
	l.closing.Add(1)
	l.mu.Unlock()
	defer l.closing.Done()
	b.keeper.close()
}

// close closes all beds. No test may run any more.
func (l *lender) close() {
	for b := l.take(); b != nil; b = l.take() {
		b.keeper.close()
	}
	l.closing.Wait()
}

// keeper is the testing.TB of a bed that outlives the test that it was made for: the functions
// that clean up behind the bed wait for close. An error in one of them fails the package, since
// the test has ended, and maybe all tests.
type keeper struct {
	testing.TB // of the test that the bed is made for, and that a failure to make it ends
	cleanups   []func()
}

// keepersFailed counts the errors that keepers were told of.
var keepersFailed atomic.Int64

func (*keeper) Helper() {}

func (k *keeper) Cleanup(f func()) { k.cleanups = append(k.cleanups, f) }

func (k *keeper) Error(args ...any) { k.Errorf("%s", fmt.Sprint(args...)) }

func (*keeper) Errorf(format string, args ...any) {
	keepersFailed.Add(1)
	fmt.Fprintf(os.Stderr, "a lent bed: "+format+"\n", args...)
}

func (*keeper) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "a lent bed: "+format+"\n", args...)
}

func (k *keeper) close() {
	for _, f := range slices.Backward(k.cleanups) {
		f()
	}
}

// lentBedsClosed returns m with a Run that closes the lent beds behind the tests.
func lentBedsClosed(m servers.M) servers.M { return closingLent{m} }

type closingLent struct{ servers.M }

// Run runs the tests and closes the beds. An error in that makes the result a failure.
func (c closingLent) Run() int {
	code := c.M.Run()
	lent.close()
	if keepersFailed.Load() > 0 {
		return max(code, 1)
	}
	return code
}
