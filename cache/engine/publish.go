package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

const (
	// publishQueueMax and publishBytesMax bound what waits for publication. Beyond
	// them entries stay in this process: a later miss elsewhere loads again.
	publishQueueMax = 4096
	publishBytesMax = 32 << 20
	// publishBatchMax is how many entries are sent in one exchange, and publishBatchBytes
	// after how many bytes no other joins them.
	publishBatchMax   = 64
	publishBatchBytes = 1 << 20
	// publishPause is how long entries are gathered that share the wait for one look.
	// An entry that no look made for others covers by then has one made for it, and for
	// all that came with it: at most one in this time.
	publishPause = 10 * time.Millisecond
	// publishConfirmMax is the longest wait for a look that an entry needs.
	publishConfirmMax = 2 * time.Second
)

// Filler is what a Remote may offer besides: Set for many keys in one exchange.
type Filler interface {
	// SetAll is Set for each of keys, with the value and the ttl at its place, and says
	// of each whether the tier took it.
	SetAll(ctx context.Context, keys []string, values [][]byte, ttls []time.Duration) (taken []bool)
}

// publisher holds the entries that wait for their upper bound.
type publisher struct {
	running atomic.Bool
	// ready holds one element if entries came while none waited; hurried one if another
	// process may be waiting for one of them.
	ready, hurried chan struct{}

	mu      sync.Mutex
	waiting []*Entry
	bytes   int64
}

func newPublisher() publisher {
	return publisher{ready: make(chan struct{}, 1), hurried: make(chan struct{}, 1)}
}

// enqueue hands an entry to the publisher, or drops it. It never waits.
func (c *Cache) enqueue(e *Entry) {
	if c.options.Remote == nil || c.options.Confirm == nil || e.local {
		c.published(e)
		return
	}
	if !c.AsksRemote(e.shape, e.Key) {
		c.counters.kept.Add(1)
		c.published(e)
		return
	}
	if !c.publisher.take(e) {
		c.counters.dropped.Add(1)
		c.published(e)
	}
}

// take lets an entry wait, unless too many do.
func (p *publisher) take(e *Entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := int64(e.size())
	if len(p.waiting) >= publishQueueMax || p.bytes+size > publishBytesMax {
		return false
	}
	p.bytes += size
	p.waiting = append(p.waiting, e)
	if len(p.waiting) == 1 {
		signal(p.ready)
	}
	return true
}

// takeAll returns the entries that wait, behind those given.
func (p *publisher) takeAll(before []*Entry) []*Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = append(before, p.waiting...)
	clear(p.waiting)
	p.waiting = p.waiting[:0]
	return before
}

// drop says that entries wait no more.
func (p *publisher) drop(entries []*Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		p.bytes -= int64(e.size())
	}
}

// hurry has entries wait no longer than for one look: somebody waits for one of them.
func (p *publisher) hurry() { signal(p.hurried) }

// signal leaves one element in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run publishes entries to the remote tier until ctx ends or the cache is
// closed, and then returns nil. It may be called once.
func (c *Cache) Run(ctx context.Context) error {
	if c.publisher.running.Swap(true) {
		return errors.New("run cache: it runs already, call Run once")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	var workers sync.WaitGroup
	workers.Go(func() { c.publishAll(ctx) })
	workers.Go(func() { c.sweepAll(ctx) })
	if c.leaser != nil {
		workers.Go(func() { c.yieldAll(ctx) })
	}
	workers.Wait()
	return nil
}

// publishAll publishes what waits, a pause after it came.
func (c *Cache) publishAll(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var waiting []*Entry
	for {
		if len(waiting) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-c.publisher.ready:
			}
		}
		pause.Reset(publishPause)
		hurried := false
		select {
		case <-ctx.Done():
			return
		case <-c.publisher.hurried:
			hurried = true
		case <-pause.C:
		}
		waiting = c.publisher.takeAll(waiting)
		if len(waiting) > 0 {
			waiting = c.publishCovered(ctx, waiting, hurried)
		}
	}
}

// publishCovered publishes the entries that a look covers: one that began after their
// loads ended, so that its head includes all that they show, and bounds them from
// above. If it does not cover the first of them, or somebody waits, a look is made for
// all. It returns those that wait on.
func (c *Cache) publishCovered(ctx context.Context, waiting []*Entry, hurried bool) (rest []*Entry) {
	first, last := waiting[0].Ticket.Loaded(), fence.Instant(0)
	for _, e := range waiting {
		last = max(last, e.Ticket.Loaded())
	}
	began, covered := c.fence.LookBegan(), true
	if began < last && (hurried || began < first) {
		covered = c.confirm(ctx, last)
		began = last
	}
	// Not before LookBegan was read: the head is published before it.
	head := c.fence.Head()
	if !covered || head == nil {
		c.counters.dropped.Add(uint64(len(waiting)))
		c.finish(waiting)
		return waiting[:0]
	}
	due := make([]*Entry, 0, len(waiting))
	rest = waiting[:0]
	for _, e := range waiting {
		if e.Ticket.Loaded() <= began {
			due = append(due, e)
		} else {
			rest = append(rest, e)
		}
	}
	clear(waiting[len(rest):])
	c.publish(ctx, due, head)
	c.finish(due)
	return rest
}

func (c *Cache) confirm(ctx context.Context, at fence.Instant) bool {
	ctx, cancel := context.WithTimeout(ctx, publishConfirmMax)
	defer cancel()
	return c.options.Confirm(ctx, at) == nil
}

// finish says that the publisher is done with entries.
func (c *Cache) finish(entries []*Entry) {
	c.publisher.drop(entries)
	for _, e := range entries {
		c.published(e)
	}
}

// parcel is what is sent to the remote tier in one exchange.
type parcel struct {
	bytes  []byte
	keys   []string
	ends   []int // of each value in bytes
	values [][]byte
	lives  []time.Duration
}

func (p *parcel) clear() {
	p.bytes, p.keys, p.ends, p.values, p.lives = p.bytes[:0], p.keys[:0], p.ends[:0], p.values[:0], p.lives[:0]
}

// publish sends entries, which head bounds from above, in parcels.
func (c *Cache) publish(ctx context.Context, entries []*Entry, head *fence.Head) {
	var p parcel
	for _, e := range entries {
		c.pack(&p, e, head)
		if len(p.keys) >= publishBatchMax || len(p.bytes) >= publishBatchBytes {
			c.send(ctx, &p)
		}
	}
	c.send(ctx, &p)
}

// pack adds one entry to a parcel. The head is older than the question to the fence,
// so an entry is published with a bound only if it was admissible when the bound held.
func (c *Cache) pack(p *parcel, e *Entry, head *fence.Head) {
	label := e.Ticket.Label()
	if label.Incarnation != head.Incarnation || !c.fence.Admits(e.Ticket) {
		c.counters.overtaken.Add(1)
		return
	}
	left := e.Expires.Sub(fence.Now())
	if !label.Replica {
		label.Upper = head.Snapshot
	}
	name := remoteKey(label.Incarnation, e.Key)
	bytes, err := c.envelopes.append(p.bytes, e, label, name)
	if err != nil || left <= 0 {
		c.counters.dropped.Add(1)
		return
	}
	p.bytes = bytes
	p.keys, p.ends, p.lives = append(p.keys, name), append(p.ends, len(bytes)), append(p.lives, left)
}

// send sends a parcel, and empties it.
func (c *Cache) send(ctx context.Context, p *parcel) {
	start := 0
	for _, end := range p.ends {
		p.values = append(p.values, p.bytes[start:end:end])
		start = end
	}
	if len(p.keys) == 0 {
		return
	}
	began := time.Now()
	var taken []bool
	if filler, ok := c.options.Remote.(Filler); ok {
		taken = filler.SetAll(ctx, p.keys, p.values, p.lives)
	} else {
		for i, key := range p.keys {
			taken = append(taken, c.options.Remote.Set(ctx, key, p.values[i], p.lives[i]))
		}
	}
	c.noteFilled(len(p.keys), time.Since(began))
	refused := slices.DeleteFunc(taken, func(ok bool) bool { return ok })
	c.counters.dropped.Add(uint64(len(refused)))
	c.counters.published.Add(uint64(len(p.keys) - len(refused)))
	p.clear()
}
