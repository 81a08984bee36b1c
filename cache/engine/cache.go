package engine

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/memory"
)

// Cache is the two tiers and the loads under way. New makes one.
type Cache struct {
	options Options
	limits  limits
	fence   *fence.Fence
	memory  *memory.Store[Entry]
	seed    maphash.Seed

	flights      flights
	publisher    publisher
	envelopes    envelopes
	leaser       Leaser // nil: the remote tier is none
	yields       chan *lease
	loadTimes    loadTimes
	worths       worths
	uses         uses
	curve        *curve
	vain         vain
	counters     counters
	fates        fates
	anticipation anticipation

	// closing ends with Close.
	closing context.Context
	close   context.CancelFunc

	// wall is time.Now, except in tests of clocks that jump.
	wall func() time.Time
	// betweenChecks, unless nil, is called between the proof of freshness and the
	// question to the fence, for tests that force an interleaving there.
	betweenChecks func()
}

// New returns an empty cache. Run must be running for entries to reach the
// second tier, and Close frees what New took.
func New(o Options) (*Cache, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := newSealKeys(o.Keys)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		options:   o,
		fence:     o.Fence,
		seed:      maphash.MakeSeed(),
		publisher: newPublisher(),
		envelopes: envelopes{compress: o.Compress, packing: newPacking(), keys: keys},
		yields:    make(chan *lease, yieldQueueMax),
		wall:      time.Now,
		curve:     newCurve(o.MemoryBytes),
	}
	for i := range c.flights.stripes {
		c.flights.stripes[i].byHash = map[uint64]*flight{}
	}
	c.memory, err = memory.New[Entry](memory.Options[Entry]{MaxBytes: o.MemoryBytes, Evicted: c.evicted, Entered: c.entered, Left: c.left})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	c.leaser, _ = o.Remote.(Leaser)
	c.SetLimits(o.Limits())
	c.options.Keys = nil // only what is derived from them stays
	c.closing, c.close = context.WithCancel(context.Background())
	return c, nil
}

// Close forgets the first tier. A closed cache finds nothing and keeps nothing, and
// Run returns. Close may be called more than once.
func (c *Cache) Close() {
	c.close()
	c.memory.Close()
}

// Outcome is what became of a question to the cache.
type Outcome uint8

const (
	// Miss: there is no entry that may be served.
	Miss Outcome = iota
	// Hit: there is one.
	Hit
	// Unproven: the newest head is too old to say, for the staleness allowed or for
	// what the session has seen. Prove may help; otherwise ask Postgres.
	Unproven
)

// String names the outcome for logs and tests.
func (o Outcome) String() string {
	switch o {
	case Hit:
		return "hit"
	case Unproven:
		return "unproven"
	default:
		return "miss"
	}
}

// Hash returns the hash of a key that Lookup and Fetch want. It differs from
// process to process.
func (c *Cache) Hash(key []byte) uint64 { return maphash.Bytes(c.seed, key) }

// Lookup returns the entry of a key if it may be served to session s at moment
// now, which is the present or slightly before it. hash is Hash(key). A nil s
// asks for bounded staleness alone. The key is not kept.
func (c *Cache) Lookup(key []byte, hash uint64, now fence.Instant, s *fence.Session) (*Entry, Outcome) {
	e := c.Peek(key, hash)
	if outcome := c.ServeFound(e, hash, now, s); outcome != Hit {
		return nil, outcome
	}
	return e, Hit
}

// At returns what the first tier keeps at a hash, nil if nothing: for callers that
// compare what they find with what they look for themselves, and then ask ServeFound.
func (c *Cache) At(hash uint64) *Entry {
	e, _ := c.memory.Get(hash)
	return e
}

// Peek returns the first tier's entry of a key, whether or not it may be served,
// nil if there is none, and counts nothing. If there is none, there is nothing that
// a look could prove good.
func (c *Cache) Peek(key []byte, hash uint64) *Entry {
	if e, ok := c.memory.Get(hash); ok && e.is(key) {
		return e
	}
	return nil
}

// Find returns the first tier's entry of a key, whether or not it may be served,
// nil if there is none. With ServeFound it is a Lookup for who looks at the clock
// only if there is something to serve.
func (c *Cache) Find(key []byte, hash uint64) *Entry {
	e := c.Peek(key, hash)
	if e == nil {
		c.counters.own().misses.Add(1)
	}
	return e
}

// ServeFound answers for an entry that Find returned what Lookup answers, and
// counts it. Nil is none that could be served.
func (c *Cache) ServeFound(e *Entry, hash uint64, now fence.Instant, s *fence.Session) Outcome {
	outcome := c.Serve(e, now, s)
	if outcome == Hit {
		c.counters.own().hits.Add(1)
	} else {
		c.NoteUnserved(outcome)
	}
	return outcome
}

// NoteUnserved counts what Serve answered if it was no hit, for callers that count their
// hits themselves.
func (c *Cache) NoteUnserved(outcome Outcome) {
	if outcome == Unproven {
		c.counters.own().unproven.Add(1)
	} else {
		c.counters.own().misses.Add(1)
	}
}

// Serve answers for an entry that came another way what Lookup answers for the
// entries it finds, of which nil is none. What a received event has ended is a Miss
// even while nothing is proven: no look would bring it back.
func (c *Cache) Serve(e *Entry, now fence.Instant, s *fence.Session) Outcome {
	began, ok := c.proven(now, s)
	if !ok && (e == nil || c.admitted(e, now)) {
		return Unproven
	}
	if !ok || e == nil || !s.Accepts(e.Ticket) || !c.admitted(e, now) {
		return Miss
	}
	if c.fence.MarkedAfter(began) && began < c.written(e, now, s) {
		return Unproven
	}
	c.noteServed(e, began, s)
	return Hit
}

// noteServed notes what session s was shown, at a head whose look began at a moment.
func (c *Cache) noteServed(e *Entry, began fence.Instant, s *fence.Session) {
	if s == nil {
		return
	}
	s.Received(e.Ticket.Loaded())
	s.Served()
	if e.Ticket.Loaded() > began {
		c.Anticipate(s)
	}
}

// written returns when a look must have begun to include all that this process
// has acknowledged as written, as far as an entry depends on it, before a read
// that began by moment now: what is acknowledged later may be marked already, and
// need not be waited for. A nil entry depends on what nobody knows. Who demands
// bounded staleness alone, gets that.
func (c *Cache) written(e *Entry, now fence.Instant, s *fence.Session) fence.Instant {
	switch {
	case s.Bounded():
		return 0
	case e == nil:
		return min(c.fence.Marked(nil), now)
	default:
		return min(c.fence.Marked(e.Ticket), now)
	}
}

// proven reports whether the newest head is new enough for session s, and when the
// look began that says so. It comes before the question to the fence, which defends
// against this:
//
//  1. a reader finds that no tag of an entry moved;
//  2. the follower receives a commit that the entry lacks: it moves the tags,
//     then publishes the head and its clock;
//  3. the reader finds the clock fresh and serves the entry, although the head
//     that it relies on knows better.
//
// Forced by TestEventBetweenChecks.
func (c *Cache) proven(now fence.Instant, s *fence.Session) (began fence.Instant, ok bool) {
	began = c.fence.LookBegan()
	return began, began != 0 && began >= c.demand(now, s) && s.Reached(c.fence.Head())
}

// demand is what session s, or nil, demands of the newest head at moment now. What
// the head may be behind its clock is taken from the staleness.
func (c *Cache) demand(now fence.Instant, s *fence.Session) fence.Instant {
	return s.Demand(now.Add(c.fence.Lag()), c.Staleness())
}

// held returns the first tier's entry of a key if the fence admits it.
func (c *Cache) held(key []byte, hash uint64) (*Entry, bool) {
	e := c.Peek(key, hash)
	if e == nil || !c.admitted(e, fence.Now()) {
		return nil, false
	}
	return e, true
}

func (c *Cache) admitted(e *Entry, now fence.Instant) bool {
	if c.betweenChecks != nil {
		c.betweenChecks()
	}
	return now < e.Expires && c.fence.Admits(e.Ticket)
}

// Admits reports whether nothing that was received speaks against an entry. It says
// nothing of freshness, for which there is Serve.
func (c *Cache) Admits(e *Entry) bool { return c.admitted(e, fence.Now()) }

// Begin takes the label of a load. It must be called before the load's query is
// sent, on whatever connection:
//
//  1. a query reads a row;
//  2. a commit changes the row, and the follower receives the event;
//  3. a label taken only now would include the commit that the answer lacks.
//
// It reports false before the first look; the load's answer cannot be kept then.
func (c *Cache) Begin() (Start, bool) {
	at := fence.Now()
	head := c.fence.Head()
	if head == nil {
		return Start{}, false
	}
	return Start{Label: fence.LabelAt(head), At: at}, true
}

// Store gives an entry to both tiers: to memory now, to the remote tier once a
// look has completed that began after the load ended. It refuses what is too
// large and what a received event has overtaken, and reports whether the entry
// was worth keeping. The remote tier gets what it is asked for: see RemotePolicy.
func (c *Cache) Store(e *Entry) bool {
	if !c.storable(e) {
		return false
	}
	c.keep(e)
	c.enqueue(e)
	return true
}

// StoreAll is Store of many entries, which takes the first tier little longer than one.
func (c *Cache) StoreAll(all []*Entry) {
	kept := make([]*Entry, 0, len(all))
	settings := make([]memory.Setting[Entry], 0, len(all))
	for _, e := range all {
		if c.storable(e) {
			kept, settings = append(kept, e), append(settings, e.setting())
		}
	}
	c.counters.stored.Add(uint64(c.memory.SetAll(settings)))
	for _, e := range kept {
		c.enqueue(e)
	}
}

// storable notes the end of a load, and reports whether its entry may be kept.
func (c *Cache) storable(e *Entry) bool {
	c.noteLoad(e.shape, e.took)
	c.uses.at(e.shape).loaded(e.took)
	if sampled(e.hash) {
		c.noteRead(e, false)
	}
	if e.size() > c.EntryMax() {
		c.counters.tooLarge.Add(1)
		c.fates.note(e.hash, TooLarge)
		c.published(e)
		return false
	}
	// An overtaken entry could do no harm in a tier, only take room.
	if !c.fence.Admits(e.Ticket) {
		c.counters.overtaken.Add(1)
		c.fates.note(e.hash, Overtaken)
		c.published(e)
		return false
	}
	return true
}

// keep puts an entry into the first tier.
func (c *Cache) keep(e *Entry) {
	one := [1]memory.Setting[Entry]{e.setting()}
	c.counters.stored.Add(uint64(c.memory.SetAll(one[:])))
}

// setting is an entry for the first tier.
func (e *Entry) setting() memory.Setting[Entry] {
	return memory.Setting[Entry]{Hash: e.hash, Value: e, Cost: int64(e.size()), Worth: e.took}
}

// The longest wait for a look that a reader needs, and how long readers do not
// wait again after one waited in vain. A look takes well below a millisecond. If
// it takes longer, Postgres or the machine is busy, and to send all readers
// there at once would make that worse; a follower without a connection says so at
// once.
const (
	proveMax   = time.Second
	provePause = time.Second
)

// vain remembers a wait for a look that did not come.
type vain struct {
	// began is the fence's LookBegan then, and until when it is remembered.
	began atomic.Int64
	until atomic.Int64
}

// Prove makes the newest head new enough to serve entry e to session s, so that
// Serve does not answer Unproven for a read that began before, by waiting for a
// look. A nil e is any entry, as far as that can be said of one that is not known.
// It reports false if that takes too long, or recently did: a follower that is down
// costs one wait in a while and not one for each read. The staleness is that at the
// call. A nil s asks for bounded staleness alone.
func (c *Cache) Prove(ctx context.Context, e *Entry, s *fence.Session) bool {
	now := fence.Now()
	written := c.written(e, now, s)
	began, ok := c.proven(now, s)
	if ok && began >= written {
		return true
	}
	if !s.Reachable(c.fence.Head()) {
		return false
	}
	if c.options.Confirm == nil || int64(began) == c.vain.began.Load() && now < fence.Instant(c.vain.until.Load()) {
		return false
	}
	at := now
	if began >= c.demand(now, nil) && s.Reached(c.fence.Head()) {
		at = max(written, c.demand(now, s)) // the clock is fresh enough, only the session demands more
	}
	waiting, cancel := context.WithTimeout(ctx, proveMax)
	defer cancel()
	if err := c.options.Confirm(waiting, at); err != nil {
		if ctx.Err() == nil {
			c.vain.began.Store(int64(began))
			c.vain.until.Store(int64(fence.Now().Add(provePause)))
		}
		return false
	}
	_, ok = c.proven(now, s)
	return ok
}
