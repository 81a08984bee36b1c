package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

func TestOneLeads(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	var loads, served atomic.Int64
	var joined, readers sync.WaitGroup
	const many = 500
	joined.Add(many)
	for range many {
		readers.Go(func() {
			f := c.Join([]byte("k"))
			defer f.Finish(nil)
			joined.Done()
			if !f.Leads() {
				if e, ok := f.Wait(t.Context(), nil); !ok || e.Payload != text("one") {
					t.Errorf("%v, %v", e, ok)
				}
				served.Add(1)
				return
			}
			loads.Add(1)
			joined.Wait() // everybody has come
			e := entry(c, "k", begin(t, c), "one")
			c.Store(e)
			f.Finish(e)
		})
	}
	readers.Wait()
	if loads.Load() != 1 || served.Load() != many-1 {
		t.Fatalf("%d loads, %d shared", loads.Load(), served.Load())
	}
	if st := c.Stats(); st.Coalesced != many-1 {
		t.Fatalf("stats %+v", st)
	}
	if c.flights.n.Load() != 0 {
		t.Fatal("a flight is left in the table")
	}
}

func TestKeysDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	a, b := c.Join([]byte("a")), c.Join([]byte("b"))
	if !a.Leads() || !b.Leads() {
		t.Fatal("one of two keys does not lead")
	}
	a.Finish(nil)
	b.Finish(nil)
}

// A leader that leaves wakes all; one of them leads, the others get its answer.
func TestLeaderThatLeaves(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	first := c.Join([]byte("k"))
	var joined, woken, readers sync.WaitGroup
	var loads, shared atomic.Int64
	const many = 100
	joined.Add(many)
	woken.Add(many)
	for range many {
		readers.Go(func() {
			f := c.Join([]byte("k"))
			defer f.Finish(nil)
			joined.Done()
			<-f.Done()
			if _, ok := f.Take(t.Context(), nil); ok {
				t.Error("an entry from a leader that left")
			}
			woken.Done()
			if f.Leads() {
				woken.Wait() // nobody is late for this flight
				loads.Add(1)
				e := entry(c, "k", begin(t, c), "one")
				c.Store(e)
				f.Finish(e)
			} else if _, ok := f.Wait(t.Context(), nil); ok {
				shared.Add(1)
			}
		})
	}
	joined.Wait()
	first.Finish(nil)
	first.Finish(nil) // as a deferred one
	readers.Wait()
	if loads.Load() != 1 || shared.Load() != many-1 {
		t.Fatalf("%d loads, %d shared", loads.Load(), shared.Load())
	}
}

// Answers that cannot be shared must not be loaded one after the other by all.
func TestLeadersThatCannotShare(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), nil)
	first := c.Join([]byte("k"))
	a, b := c.Join([]byte("k")), c.Join([]byte("k"))
	first.Finish(nil)
	<-a.Done()
	if _, ok := a.Take(t.Context(), nil); ok || !a.Leads() {
		t.Fatal("who comes first does not lead")
	}
	<-b.Done()
	if _, ok := b.Take(t.Context(), nil); ok || !b.Waits() {
		t.Fatal("who comes second does not wait for the first")
	}
	a.Finish(nil)
	<-b.Done()
	if _, ok := b.Take(t.Context(), nil); ok || b.Waits() || b.Leads() {
		t.Fatal("a reader still waits, or lets others wait, after two flights in vain")
	}
}

// The interleaving beside Flight.Take.
func TestOvertakenFollower(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	leader := c.Join([]byte("k"))
	start := begin(t, c) // 1. its query reads the row
	w.Commit()           // 2. a commit changes it, and is received
	w.Look()
	follower := c.Join([]byte("k")) // 3.
	if follower.Leads() {
		t.Fatal("two leaders")
	}
	old := entry(c, "k", start, "old") // 4.
	c.Store(old)
	leader.Finish(old)
	if e, ok := follower.Wait(t.Context(), nil); ok {
		t.Fatalf("a reader that came after the event was handed %v", e)
	}
	if !follower.Leads() {
		t.Fatal("nobody loads the new row")
	}
	follower.Finish(nil)
}

// Steps 1 to 4, but the reader's own write is what the answer lacks, and nobody
// has received it when the leader finishes.
func TestFollowerSeesItsOwnWrite(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	leader := c.Join([]byte("k"))
	start := begin(t, c)
	w.Commit()
	var s fence.Session
	s.Received(fence.Now())
	follower := c.Join([]byte("k"))
	old := entry(c, "k", start, "old")
	leader.Finish(old)
	if e, ok := follower.Wait(t.Context(), &s); ok {
		t.Fatalf("the writer was handed %v", e)
	}
	follower.Finish(nil)
}

// A hot key that is written all the time costs two loads, not one for each
// reader: the second flight is loaded after all of them came.
func TestLoadThatBeganAfterTheReaderCameIsShared(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	first := c.Join([]byte("k"))
	a, b := c.Join([]byte("k")), c.Join([]byte("k"))
	first.Finish(nil)
	<-a.Done()
	a.Take(t.Context(), nil)
	<-b.Done()
	b.Take(t.Context(), nil)
	if !a.Leads() || !b.Waits() {
		t.Fatal("no second flight")
	}
	start := begin(t, c)
	w.Commit() // overtakes this load too
	w.Look()
	e := entry(c, "k", start, "as good as its own")
	if c.Store(e) {
		t.Fatal("an overtaken load was stored")
	}
	a.Finish(e)
	var s fence.Session
	if got, ok := b.Wait(t.Context(), &s); !ok || got != e {
		t.Fatalf("%v, %v", got, ok)
	}
	if s.Need() != e.Ticket.Loaded() {
		t.Fatal("the session does not know what it saw")
	}
}

func TestLoadOfAnotherIncarnationIsNotShared(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	leader, follower := c.Join([]byte("k")), c.Join([]byte("k"))
	start := begin(t, c)
	w.Reset("second")
	leader.Finish(entry(c, "k", start, "of the first"))
	if e, ok := follower.Wait(t.Context(), nil); ok {
		t.Fatalf("shared %v", e)
	}
	follower.Finish(nil)
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), func(o *Options) { o.WaitMax = time.Millisecond })
	leader := c.Join([]byte("k"))
	defer leader.Finish(nil)
	f := c.Join([]byte("k"))
	if _, ok := f.Wait(t.Context(), nil); ok || f.Leads() || f.Waits() {
		t.Fatal("a reader waits for ever")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	f = c.Join([]byte("k"))
	if _, ok := f.Wait(gone, nil); ok || f.Leads() || f.Waits() {
		t.Fatal("a reader that left waits")
	}
	f.Finish(nil) // not its to finish
	if c.flights.n.Load() != 1 {
		t.Fatal("a follower ended the leader's flight")
	}
}

func TestTooManyFlights(t *testing.T) {
	t.Parallel()
	c := open(t, world.New(), func(o *Options) { o.FlightsMax = 1 })
	a := c.Join([]byte("a"))
	defer a.Finish(nil)
	b := c.Join([]byte("b"))
	if b.Leads() || b.Waits() || b.Done() != nil {
		t.Fatal("the table has no end")
	}
	if _, ok := b.Wait(t.Context(), nil); ok {
		t.Fatal("an entry from nowhere")
	}
	b.Finish(nil)
	if c.Stats().Alone != 1 {
		t.Fatal("not counted")
	}
}
