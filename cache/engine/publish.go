package engine

import (
	"context"
	"errors"
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
	// publishBatchMax is how many entries share the wait for one look.
	publishBatchMax = 64
	// publishWorkers is how many batches are on their way at a time.
	publishWorkers = 2
	// publishConfirmMax is the longest wait for a look that an entry needs.
	publishConfirmMax = 2 * time.Second
)

// publisher holds the entries that wait for their upper bound.
type publisher struct {
	queue   chan *Entry
	bytes   atomic.Int64
	running atomic.Bool
}

// enqueue hands an entry to the publisher, or drops it. It never waits.
func (c *Cache) enqueue(e *Entry) {
	if c.options.Confirm == nil {
		c.published(e)
		return
	}
	p := &c.publisher
	size := int64(e.size())
	if p.bytes.Add(size) <= publishBytesMax {
		select {
		case p.queue <- e:
			return
		default:
		}
	}
	p.bytes.Add(-size)
	c.counters.dropped.Add(1)
	c.published(e)
}

// Run publishes entries to the remote tier until ctx ends or the cache is
// closed, and then returns nil. Without a remote tier it still asks for a look
// after each load, so that the session that caused the load rarely waits for
// one. It may be called once.
func (c *Cache) Run(ctx context.Context) error {
	if c.publisher.running.Swap(true) {
		return errors.New("run cache: it runs already, call Run once")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	var workers sync.WaitGroup
	for range publishWorkers {
		workers.Go(func() { c.publishAll(ctx) })
	}
	if c.leaser != nil {
		workers.Go(func() { c.yieldAll(ctx) })
	}
	workers.Wait()
	return nil
}

func (c *Cache) publishAll(ctx context.Context) {
	batch := make([]*Entry, 0, publishBatchMax)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-c.publisher.queue:
			batch = c.fill(append(batch[:0], e))
			c.publish(ctx, batch)
			for _, e := range batch {
				c.publisher.bytes.Add(-int64(e.size()))
				c.published(e)
			}
			clear(batch)
		}
	}
}

// fill takes what else is waiting.
func (c *Cache) fill(batch []*Entry) []*Entry {
	for len(batch) < publishBatchMax {
		select {
		case e := <-c.publisher.queue:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// publish waits for a look that began after every load of the batch ended: its
// head includes all that the entries show, and bounds them from above.
func (c *Cache) publish(ctx context.Context, batch []*Entry) {
	last := fence.Instant(0)
	for _, e := range batch {
		last = max(last, e.Ticket.Loaded())
	}
	waiting, cancel := context.WithTimeout(ctx, publishConfirmMax)
	defer cancel()
	err := c.options.Confirm(waiting, last)
	if c.options.Remote == nil {
		return
	}
	head := c.fence.Head()
	if err != nil || head == nil {
		c.counters.dropped.Add(uint64(len(batch)))
		return
	}
	var buffer []byte
	for _, e := range batch {
		buffer = c.publishOne(ctx, e, head, buffer[:0])
	}
}

// publishOne sends one entry, and returns the buffer for the next. The head is
// older than the question to the fence, so an entry is published with a bound
// only if it was admissible when the bound held.
func (c *Cache) publishOne(ctx context.Context, e *Entry, head *fence.Head, buffer []byte) []byte {
	if e.local {
		return buffer
	}
	label := e.Ticket.Label()
	if label.Incarnation != head.Incarnation || !c.fence.Admits(e.Ticket) {
		c.counters.overtaken.Add(1)
		return buffer
	}
	left := e.Expires.Sub(fence.Now())
	if !label.Replica {
		label.Upper = head.Snapshot
	}
	name := remoteKey(label.Incarnation, e.Key)
	value, err := c.envelopes.append(buffer, e, label, name)
	if err != nil || left <= 0 || !c.options.Remote.Set(ctx, name, value, left) {
		c.counters.dropped.Add(1)
		return buffer
	}
	c.counters.published.Add(1)
	return value
}
