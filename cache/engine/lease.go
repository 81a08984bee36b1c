package engine

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// Leaser is what a Remote may offer besides: of all processes that miss a key
// together one loads it, and the others wait for its entry.
type Leaser interface {
	// Contend returns the value of key and its remaining life as Get does, unless
	// the value begins with seen, which is empty or what the caller found of no use.
	// Otherwise the caller gets the lease of key for the given life, under a token
	// that nobody else has, unless somebody holds it. ok is false if the tier
	// cannot say who holds it.
	Contend(ctx context.Context, key string, seen []byte, token string, life time.Duration) (value []byte, left time.Duration, leased, ok bool)
	// Yield ends the lease of key if it is still that of token.
	Yield(ctx context.Context, key, token string)
}

const (
	// A lease lives for leaseSlack and leaseLoads times the expected load: a holder
	// that died costs no more than that, and one that takes longer only has others
	// load too. Whoever finds it taken waits as long, at most.
	leaseSlack = time.Second
	leaseLoads = 4
	// leaseGuess is how long a load is expected to take of which nothing is known.
	leaseGuess = 500 * time.Millisecond
	// leaseLifeMax bounds the life of a lease.
	leaseLifeMax = 10 * time.Second

	// Between two looks at a lease a reader sleeps an eighth of the time it has
	// waited already, within these bounds: the delay is small against the load, and
	// a long load is asked for some fifty times.
	leaseSleepMin    = 2 * time.Millisecond
	leaseSleepMax    = 100 * time.Millisecond
	leaseSleepShares = 8
	// contendMax bounds the looks of one reader, whatever the tier answers.
	contendMax = 1000

	// yieldQueueMax bounds the leases that wait to be given back. Beyond it they
	// end by themselves.
	yieldQueueMax = 1024
)

// lease is the right, not the duty, to load a key for all processes. It forbids
// nothing to those who do not hold it.
type lease struct {
	name  string // in the remote tier
	token string
}

// Fetch is Cache.Fetch for a reader that leads a flight, and the place where the
// loads of many processes become one. If loads of this shape are worth it
// (Options.LeaseMin) or the database is spared at any price (RemoteAlways), and the
// remote tier is a Leaser, it takes the key's lease
// in the same exchange. Who finds it taken waits for the entry: as long as the
// lease lives, but not longer than half of Options.WaitMax, nor after ctx ends.
// The lease is given back once the entry is published, or by Finish.
//
// shape names what takes about the same time to load: a statement, a function.
// It means something in this process only. 0 says that the key is its own shape.
//
// What it returns is as old as what Cache.Fetch returns, and is to be asked about
// in the same way: ask Serve. A session that needs a newer state than an entry
// shows loads without a lease.
func (f *Flight) Fetch(ctx context.Context, shape uint64, decode Decode) (*Entry, Tier) {
	c, key := f.cache, f.key
	hash := f.hash
	if shape == 0 {
		shape = hash
	}
	f.shape, f.fetched = shape, true
	expected := c.loadTimes.expect(shape)
	head := c.fence.Head()
	if head == nil || !f.leases(expected) || !c.AsksRemote(shape, key) {
		return f.note(c.Fetch(ctx, key, hash, shape, decode))
	}
	if e, ok := c.held(key, hash); ok {
		return e, Memory
	}
	q := question{name: remoteKey(head.Incarnation, key), key: key, hash: hash, shape: shape, decode: decode}
	if !f.asked && c.probablyShared(shape) {
		// Then there is nothing to be leased.
		if e, tier := c.ask(ctx, q); e != nil {
			return f.note(e, tier)
		}
	}
	if expected == 0 {
		expected = leaseGuess
	}
	life := min(leaseSlack+leaseLoads*expected, leaseLifeMax)
	e, l := c.contend(ctx, contest{question: q, incarnation: head.Incarnation, life: life, patience: min(life, c.options.WaitMax/2)})
	f.lease = l
	if e == nil {
		return nil, Nowhere
	}
	return f.note(e, Shared)
}

// Likely reports whether the remote tier has the entry of a key of this shape, as it had
// most of late.
func (f *Flight) Likely(shape uint64) bool { return f.leads && f.cache.probablyShared(shape) }

func (c *Cache) probablyShared(shape uint64) bool { return c.worths.at(shape).found.get() > certain/2 }

// Ask is Fetch in one question to the remote tier at most, without a lease. Who finds
// nothing may Fetch then.
func (f *Flight) Ask(ctx context.Context, shape uint64, decode Decode) (*Entry, Tier) {
	f.shape, f.fetched, f.asked = shape, true, true
	return f.note(f.cache.Fetch(ctx, f.key, f.hash, shape, decode))
}

// note remembers of an entry that another process loaded how long that took. Who
// only ever finds entries would otherwise never know that the loads are short, and
// ask for a lease with each question.
func (f *Flight) note(e *Entry, tier Tier) (*Entry, Tier) {
	if tier == Shared {
		f.cache.loadTimes.note(f.shape, e.took)
	}
	return e, tier
}

// leases reports whether loads that are expected to take so long, 0 if that is
// unknown, are made for all processes together.
func (f *Flight) leases(expected time.Duration) bool {
	c := f.cache
	return f.leads && c.leaser != nil && c.options.Confirm != nil && c.options.RemotePolicy != RemoteNever &&
		(expected == 0 || expected >= c.options.LeaseMin || c.options.RemotePolicy == RemoteAlways)
}

// Quick reports whether Fetch for this shape is one question to the remote tier at
// most, and waits for nobody's load.
func (f *Flight) Quick(shape uint64) bool { return !f.leases(f.cache.loadTimes.expect(shape)) }

// Again is Fetch without the remote tier: another leader may have stored the entry
// since this reader looked.
func (f *Flight) Again() (*Entry, Tier) {
	if e, ok := f.cache.held(f.key, f.hash); ok {
		return e, Memory
	}
	return nil, Nowhere
}

// contest is one reader's attempt to get an entry or the lease to load it.
type contest struct {
	question
	incarnation fence.Incarnation
	life        time.Duration // of the lease
	patience    time.Duration // of the reader
}

// contend returns the entry as soon as the remote tier has it, or the lease; or
// neither, if it took too long or the tier does not answer. Then the reader
// loads, and so may others.
func (c *Cache) contend(ctx context.Context, of contest) (*Entry, *lease) {
	began, token := fence.Now(), rand.Text()
	var seen []byte
	for asked := range contendMax {
		value, left, leased, ok := c.leaser.Contend(ctx, of.name, seen, token, of.life)
		if value != nil {
			if e := c.accept(value, left, of.question); e != nil {
				if asked > 0 {
					c.counters.leasesAwaited.Add(1)
				} else {
					c.noteAsked(of.shape, of.key, fence.Now().Sub(began), true)
				}
				return e, nil
			}
			seen = value[:min(len(value), identityLength)]
		}
		waited := fence.Now().Sub(began)
		if asked == 0 {
			c.noteAsked(of.shape, of.key, waited, false)
		}
		switch {
		case leased:
			c.counters.leases.Add(1)
			return nil, &lease{of.name, token}
		case !ok || waited >= of.patience || !c.inIncarnation(of.incarnation):
			if asked > 0 {
				c.counters.leasesVain.Add(1)
			}
			return nil, nil
		case value != nil: // ask at once for the lease instead
		case !sleep(ctx, leaseSleep(waited)):
			return nil, nil
		}
	}
	c.counters.leasesVain.Add(1)
	return nil, nil
}

func (c *Cache) inIncarnation(name fence.Incarnation) bool {
	head := c.fence.Head()
	return head != nil && head.Incarnation == name
}

// leaseSleep is the time to the next look, a little different for each reader.
func leaseSleep(waited time.Duration) time.Duration {
	d := min(max(waited/leaseSleepShares, leaseSleepMin), leaseSleepMax)
	return d - mathrand.N(d/4)
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle notes how long the load of a flight took that ended with e, and sees to
// it that its lease ends: now if there is nothing to publish, otherwise when the
// publisher is done with e. Before that others would find neither.
func (f *Flight) settle(e *Entry) {
	c, l := f.cache, f.lease
	f.lease = nil
	loaded := e != nil && e.began != 0
	switch {
	case loaded && f.fetched && e.size() <= c.EntryMax():
		c.loadTimes.note(f.shape, e.Ticket.Loaded().Sub(e.began))
	case l != nil:
		c.loadTimes.belittle(f.shape)
	}
	switch {
	case l == nil:
	case !loaded || e.publication.attach(l):
		c.yield(l)
	default:
		c.publisher.hurry() // others may wait for the entry
	}
}

// publication is the end of an entry's way to the remote tier, and the lease
// that ends with it. Whichever of attach and end comes second has the lease.
type publication struct {
	lease atomic.Pointer[lease]
	ended atomic.Bool
}

// attach reports whether the caller has to give l back, because the publisher is
// done already.
func (p *publication) attach(l *lease) bool {
	p.lease.Store(l)
	return p.ended.Load() && p.lease.Swap(nil) != nil
}

// end returns the lease that the caller has to give back, or nil.
func (p *publication) end() *lease {
	p.ended.Store(true)
	return p.lease.Swap(nil)
}

// published says that the publisher is done with e, whatever became of it.
func (c *Cache) published(e *Entry) {
	if l := e.publication.end(); l != nil {
		c.yield(l)
	}
}

// yield gives a lease back soon. It never waits.
func (c *Cache) yield(l *lease) {
	select {
	case c.yields <- l:
	default: // it ends by itself
	}
}

// yieldAll gives leases back until ctx ends.
func (c *Cache) yieldAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-c.yields:
			c.leaser.Yield(ctx, l.name, l.token)
		}
	}
}
