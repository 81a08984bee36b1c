package invalidation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/fence"
)

// errNotRunning is the reason before Run and after it.
var errNotRunning = errors.New("the follower is not running")

// audience holds those who wait for a look. They share the next one, or the one
// under way if it began after their wish; an older one's snapshot may lack what
// they have to see.
type audience struct {
	wake chan struct{} // holds one element if somebody wants a look
	// wishedAt is when a reader last wanted one; the looker reads it, to know when to rest.
	wishedAt atomic.Int64

	mu sync.Mutex
	// next is the group that the next look answers, nil if nobody waits for it.
	next *group
	// flying is the group of the look under way, which began at flyingSince; nil
	// between looks.
	flying      *group
	flyingSince fence.Instant
	// down says why no look can be made now, nil while looks are being made.
	down error
}

// group waits for one look.
type group struct {
	done chan struct{}
	err  error // set before done is closed
}

func newAudience() *audience {
	return &audience{wake: make(chan struct{}, 1), down: errNotRunning}
}

// ring asks for a look without waiting.
func (a *audience) ring() {
	select {
	case a.wake <- struct{}{}:
	default: // somebody asked already, and the look has not begun
	}
}

// wish notes that somebody reads.
func (a *audience) wish() { a.wishedAt.Store(int64(fence.Now())) }

// awaited reports whether somebody waits for a look that has not begun.
func (a *audience) awaited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next != nil
}

// join returns the group of the first look that begins, or began, at or after a
// moment that is not in the future.
func (a *audience) join(at fence.Instant) (*group, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down != nil {
		return nil, a.down
	}
	a.wish()
	if a.flying != nil && a.flyingSince >= at {
		return a.flying, nil
	}
	if a.next == nil {
		a.next = &group{done: make(chan struct{})}
		a.ring()
	}
	return a.next, nil
}

// begin returns the moment at which a look begins: not before the wish of any who
// waited for it. finish must be called.
func (a *audience) begin() fence.Instant {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.next
	if g == nil {
		g = &group{done: make(chan struct{})}
	}
	a.next = nil
	a.flying, a.flyingSince = g, fence.Now()
	return a.flyingSince
}

// finish ends the look under way.
func (a *audience) finish(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flying.finish(err)
	a.flying = nil
}

// open lets waiters in; shut turns them away, those who wait already too.
func (a *audience) open() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = nil
}

func (a *audience) shut(reason error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = reason
	a.next.finish(reason)
	a.next = nil
}

// finish lets a group go. A nil group has no members.
func (g *group) finish(err error) {
	if g != nil {
		g.err = err
		close(g.done)
	}
}

// Confirm returns nil when a look that began at or after at has completed: the
// fence's head then includes every commit acknowledged before at. It starts the
// look if none is due. An error says that this could not be shown, at once when
// the follower has no connection or its look failed: the caller asks Postgres.
// A moment in the future is waited for.
func (f *Follower) Confirm(ctx context.Context, at fence.Instant) error {
	for f.fence.LookBegan() < at {
		g, err := f.audience.join(at)
		if err != nil {
			return fmt.Errorf("confirm freshness: %w", err)
		}
		select {
		case <-g.done:
			if g.err != nil {
				return fmt.Errorf("confirm freshness: %w", g.err)
			}
		case <-ctx.Done():
			return fmt.Errorf("confirm freshness: %w", ctx.Err())
		}
	}
	return nil
}

// Wake asks for a look soon and does not wait for it: somebody reads.
func (f *Follower) Wake() {
	f.audience.wish()
	f.audience.ring()
}
