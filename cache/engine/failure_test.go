package engine

import (
	"errors"
	"sync"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

var errBusy = errors.New("the database is overloaded")

// The interleaving of Flight.Err.
func TestFailureIsSharedWithWhoCameBefore(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	first := c.Join([]byte("k"))
	began := fence.Now() // 1
	const many = 50
	var mu sync.Mutex
	var led, shared int
	var readers sync.WaitGroup
	for range many { // 2
		f := c.Join([]byte("k"))
		readers.Go(func() {
			defer f.Finish(nil)
			var s fence.Session
			if e, ok := f.Wait(t.Context(), &s); ok {
				t.Errorf("got %v of a load that failed", e)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case f.Err() == nil:
				led++
				f.Fail(errBusy, fence.Now()) // 4
			case s.Need() == 0:
				t.Error("the session does not know that Postgres answered")
			default:
				shared++
			}
		})
	}
	first.Fail(errBusy, began) // 3
	readers.Wait()
	if led != 1 || shared != many-1 {
		t.Fatalf("%d loads after the one that began before, %d share a failure", led, shared)
	}
	late := c.Join([]byte("k"))
	if !late.Leads() || late.Err() != nil {
		t.Fatal("a failure was kept")
	}
	late.Finish(nil)
}

// A leader that gives up tells nobody why: it is its own affair.
func TestLeaderThatGivesUpIsNoFailure(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	leader, follower := c.Join([]byte("k")), c.Join([]byte("k"))
	leader.Finish(nil)
	if _, ok := follower.Wait(t.Context(), nil); ok || follower.Err() != nil || !follower.Leads() {
		t.Fatalf("leads %v, %v", follower.Leads(), follower.Err())
	}
	follower.Finish(nil)
}
