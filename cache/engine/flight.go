package engine

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/stripe"
)

// waitRounds is how many flights a reader waits for, one after the other. The
// second is loaded after the reader came and therefore good for it, unless that
// leader fails too.
const waitRounds = 2

// flightStripes is how many locks share the keys of flights, a power of two.
const flightStripes = 16

// flights are the loads that others may wait for, by the hashes of their keys.
type flights struct {
	// n is how many there are.
	n       atomic.Int64
	stripes [flightStripes]flightStripe
}

// Loading returns how many loads are under way that others may wait for.
func (c *Cache) Loading() int64 { return c.flights.n.Load() }

// flightStripe has those of some hashes.
type flightStripe struct {
	mu     sync.Mutex
	byHash map[uint64]*flight
	_      stripe.Padding
}

func (t *flights) stripe(hash uint64) *flightStripe { return &t.stripes[hash%flightStripes] }

// flight is one leader's time. What it brought is written before ended is set.
type flight struct {
	// key is the leader's, whose flights of one hash may be of several.
	key []byte
	// done is closed when it has ended. It is made for the first who waits, and shared is
	// set then; both are held by the lock of its stripe.
	done   chan struct{}
	shared bool
	// ended is set when its leader is done, by the lock of its stripe.
	ended bool
	entry *Entry
	// failure is how a load ended that began at failed. nil: it did not fail, or
	// nobody is to be told.
	failure error
	failed  fence.Instant
	// next is the flight that took over those who waited for this one in vain, nil
	// before. It may have ended when the last of them wakes. Held by the stripe's lock.
	next *flight
}

// over is the done of flights that nobody waited for before they had ended.
var over = closedChannel()

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// shareLocked notes that somebody other than the leader has the flight.
func (f *flight) shareLocked() {
	f.shared = true
	switch {
	case f.done != nil:
	case f.ended:
		f.done = over
	default:
		f.done = make(chan struct{})
	}
}

// Flight is one reader's part in loading a key together with others. It is used
// by one goroutine at a time.
//
//	f := c.Join(key)
//	defer f.Finish(nil)
//	if e, ok := f.Wait(ctx, s); ok {
//		return e
//	}
//	if err := f.Err(); err != nil {
//		return err
//	}
//	… f.Fetch, or Begin, load, NewEntry, Store …
//	f.Finish(e)
type Flight struct {
	cache   *Cache
	key     []byte // stays as it is while the reader leads
	hash    uint64 // of the key in the first tier
	arrived fence.Instant
	// current is what this reader leads or waits for. nil: it is on its own.
	current *flight
	// spare, unless nil, is one that this reader led and nobody else ever had.
	spare  *flight
	leads  bool
	rounds int // flights waited for in vain
	// failure is the end of another's load that was as good as this reader's own.
	failure error
	// lease, unless nil, is this reader's, for a load of the shape.
	lease   *lease
	shape   uint64
	fetched bool // shape is known
	// asked is set by Ask: Fetch need not ask without a lease first.
	asked bool
}

// Join brings a reader that missed key together with the others who do. The
// first of them leads: it must load and then Finish, at once when it gives up.
func (c *Cache) Join(key []byte) *Flight { return c.JoinAt(bytes.Clone(key), c.Hash(key)) }

// JoinAt is Join for a key that the first tier keeps at a hash of the caller's own, and that
// nobody ever changes.
func (c *Cache) JoinAt(key []byte, hash uint64) *Flight {
	made := &struct {
		of    Flight
		first flight
	}{}
	made.of = Flight{cache: c, key: key, hash: hash, arrived: fence.Now(), spare: &made.first}
	made.of.enter(nil)
	return &made.of
}

// JoinIn is JoinAt in the room of a Flight that was none yet.
func (c *Cache) JoinIn(f *Flight, key []byte, hash uint64) {
	*f = Flight{cache: c, key: key, hash: hash, arrived: fence.Now()}
	f.enter(nil)
}

// JoinAgain is Join with the room of a Flight that has finished, or was none yet, with a
// hash of the caller's own.
func (c *Cache) JoinAgain(f *Flight, key []byte, hash uint64) {
	*f = Flight{cache: c, key: append(f.key[:0], key...), hash: hash, arrived: fence.Now(), spare: f.spare}
	f.enter(nil)
}

// enter makes f lead the flight of its key, or wait for who does, after it waited
// for a flight in vain, which is nil at first. If too many keys are being loaded f
// is on its own.
func (f *Flight) enter(after *flight) {
	t := f.cache.flights.stripe(f.hash)
	t.mu.Lock()
	defer t.mu.Unlock()
	f.enterLocked(t, after)
	if after != nil && f.current != nil {
		after.next = f.current
		f.current.shareLocked()
	}
}

func (f *Flight) enterLocked(t *flightStripe, after *flight) {
	f.leads, f.current = false, t.byHash[f.hash]
	if after != nil && after.next != nil {
		f.current = after.next
	} else if f.current != nil && !bytes.Equal(f.current.key, f.key) {
		f.aloneLocked() // two keys of one hash
		return
	}
	if f.current != nil {
		f.current.shareLocked()
		return
	}
	all := &f.cache.flights.n
	if all.Add(1) > int64(f.cache.options.FlightsMax) {
		all.Add(-1)
		f.aloneLocked()
		return
	}
	f.leads, f.current, f.spare = true, f.spare, nil
	if f.current == nil {
		f.current = new(flight)
	}
	f.current.key = f.key
	t.byHash[f.hash] = f.current
}

func (f *Flight) aloneLocked() {
	f.cache.counters.alone.Add(1)
	f.current = nil
}

// Leads reports whether others wait, or may come to wait, for this reader.
func (f *Flight) Leads() bool { return f.leads }

// Waits reports whether this reader waits for another's load.
func (f *Flight) Waits() bool { return f.current != nil && !f.leads }

// Done is closed when the load that this reader waits for has ended. It is for
// callers that wait for other things too; they call Take then, and do themselves
// what Wait does. It is nil if this reader does not wait.
func (f *Flight) Done() <-chan struct{} {
	if !f.Waits() {
		return nil
	}
	return f.current.done
}

// Wait returns the entry that another reader loads, if it may be served to
// session s. It reports false if this reader has to load: because it leads,
// from the start or since the leader before gave up or brought nothing that may
// be served; or because it waited for WaitMax or until ctx ended, and then nobody
// waits for it. Or, if Err says so, because a load failed that it would have made
// in the same way.
func (f *Flight) Wait(ctx context.Context, s *fence.Session) (*Entry, bool) {
	if !f.Waits() {
		return nil, false
	}
	patience := time.NewTimer(f.cache.options.WaitMax)
	defer patience.Stop()
	for f.Waits() {
		select {
		case <-f.Done():
			if e, ok := f.Take(ctx, s); ok {
				return e, true
			}
		case <-patience.C:
			f.goAlone()
		case <-ctx.Done():
			f.goAlone()
		}
	}
	return nil, false
}

// Take returns the entry of a load that has ended, if it may be served to
// session s. Otherwise this reader now leads, or waits again (then Done is
// another channel), or is on its own.
//
// An answer may be shared if its load began after this reader came: it is as
// good as one of its own, and shows what was acknowledged as written before.
// Otherwise the conditions are those of any hit, now:
//
//  1. a leader's query reads a row;
//  2. a commit changes the row, and the follower receives the event;
//  3. a reader comes, who must be shown the change, and joins the flight;
//  4. the leader finishes with the old row.
//
// Forced by TestOvertakenFollower.
func (f *Flight) Take(ctx context.Context, s *fence.Session) (*Entry, bool) {
	if !f.Waits() {
		return nil, false
	}
	if e := f.current.entry; e != nil && f.mayShare(ctx, e, s) {
		f.cache.counters.coalesced.Add(1)
		f.current = nil
		return e, true
	}
	if e := f.current.failure; e != nil && f.current.failed >= f.arrived {
		f.shareFailure(e, s)
		return nil, false
	}
	f.rounds++
	if f.rounds == waitRounds {
		f.goAlone()
		return nil, false
	}
	// All who waited come here: the first leads, the others wait for it, or find that
	// it has ended already.
	f.enter(f.current)
	return nil, false
}

// shareFailure makes another's failed load this reader's own. Its session has seen
// what Postgres answered.
func (f *Flight) shareFailure(err error, s *fence.Session) {
	f.cache.counters.coalesced.Add(1)
	f.current, f.failure = nil, err
	if s != nil {
		s.Received(fence.Now())
	}
}

// Err returns, after Wait or Take brought nothing, why this reader need not load
// either: a load that began after it came has failed. It is nil for a reader that
// has to load.
//
//  1. a leader's load begins, and is about to fail: Postgres is overloaded;
//  2. many readers come, and wait for it;
//  3. the load fails. What it met may have been over before they came, so one of
//     them leads again;
//  4. that load fails too, and is the answer of all who wait. If each of them loaded
//     for itself instead, they would all do so at once, and now.
//
// Forced by TestFailureIsSharedWithWhoCameBefore.
func (f *Flight) Err() error { return f.failure }

func (f *Flight) goAlone() {
	f.cache.counters.alone.Add(1)
	f.current = nil
}

func (f *Flight) mayShare(ctx context.Context, e *Entry, s *fence.Session) bool {
	// After a failover two sessions may be on different servers, and only that of
	// the present incarnation speaks for the database.
	head := f.cache.fence.Head()
	present := head != nil && head.Incarnation == e.Ticket.Label().Incarnation
	// What a replica showed may be old, whenever it was loaded.
	if present && !e.Ticket.Label().Replica && e.began != 0 && e.began >= f.arrived {
		if s != nil {
			s.Received(e.Ticket.Loaded())
		}
		return true
	}
	return f.cache.ServeProving(ctx, e, s)
}

// ServeProving is Serve now, with one attempt at a proof.
func (c *Cache) ServeProving(ctx context.Context, e *Entry, s *fence.Session) bool {
	now := fence.Now()
	outcome := c.Serve(e, now, s)
	if outcome == Unproven && c.Prove(ctx, e, s) {
		outcome = c.Serve(e, now, s)
	}
	return outcome == Hit
}

// Finish ends this reader's lead and hands e to all who wait. nil says that it
// gives up, or that what it loaded must not be shared: those who wait then
// choose a new leader among them, and after a second such flight each loads for
// itself, so that answers that cannot be shared are not loaded one by one. Only
// the first call counts, and only of a reader that leads.
//
// The entry is stored before, so that who comes after Finish finds it in the
// first tier; if Store refused it, those who wait may still get it here.
func (f *Flight) Finish(e *Entry) {
	f.end(e, nil, 0)
}

// Fail is Finish for a load that began at a moment and ended with an error, which
// those who came before share. It is kept for nobody.
func (f *Flight) Fail(err error, began fence.Instant) {
	f.end(nil, err, began)
}

func (f *Flight) end(e *Entry, failure error, began fence.Instant) {
	if !f.leads {
		return
	}
	f.leads = false
	ended := f.current
	ended.entry, ended.failure, ended.failed = e, failure, began
	t := f.cache.flights.stripe(f.hash)
	t.mu.Lock()
	delete(t.byHash, f.hash)
	ended.ended = true
	done, shared := ended.done, ended.shared
	t.mu.Unlock()
	f.cache.flights.n.Add(-1)
	if done != nil {
		close(done)
	}
	f.current = nil
	if !shared {
		*ended = flight{}
		f.spare = ended
	}
	f.settle(e)
}
