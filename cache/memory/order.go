package memory

import (
	"slices"
	"sync"

	"github.com/freshet/freshet/cache/internal/stripe"
)

// queuedMax is how many items of one order may wait for Ristretto to insert them. One more
// waits for all.
const queuedMax = 8

// order makes changes of one key take effect one after the other.
//
// Ristretto inserts what it does not have in a goroutine of its own. Nobody waits for
// that, so it is remembered what is on its way, and found there. Who changes the same key
// again waits, or this could happen:
//
//  1. A sets the absent key: Ristretto queues an insertion;
//  2. B sets the key, still absent: Ristretto queues another;
//  3. Ristretto inserts A's value, finds the key present at B's, drops it;
//  4. B's reader is given A's value.
//
// Forced by TestSetAfterSetKeepsTheNewer.
type order[T any] struct {
	sync.Mutex
	// queued are items that Ristretto may not have inserted yet. None of them was
	// replaced or forgotten since, so none holds memory that does not count.
	queued []*item[T]
	_      stripe.Padding
}

func (s *Store[T]) order(hash uint64) *order[T] { return &s.orders[hash%orders] }

// queueLocked notes an item that Ristretto is to insert.
func (s *Store[T]) queueLocked(it *item[T]) {
	o := s.order(it.hash)
	o.queued = slices.DeleteFunc(o.queued, func(before *item[T]) bool {
		there, ok := s.items.Get(before.hash)
		return ok && there == before
	})
	if len(o.queued) == queuedMax {
		s.insertQueuedLocked(o)
	}
	o.queued = append(o.queued, it)
}

// insertedLocked returns what Ristretto has of a hash, once it has all that it was given.
func (s *Store[T]) insertedLocked(hash uint64) (it *item[T], ok bool) {
	if o := s.order(hash); o.has(hash) != nil {
		s.insertQueuedLocked(o)
	}
	return s.items.Get(hash)
}

// insertQueuedLocked waits until Ristretto has all that is queued in an order.
func (s *Store[T]) insertQueuedLocked(o *order[T]) {
	s.items.Wait()
	clear(o.queued)
	o.queued = o.queued[:0]
}

// findQueued looks for an item that Ristretto did not have a moment ago: it may be on its
// way there, or have arrived since.
func (s *Store[T]) findQueued(hash uint64) *item[T] {
	o := s.order(hash)
	o.Lock()
	it := o.has(hash)
	o.Unlock()
	if it == nil {
		it, _ = s.items.Get(hash)
	}
	return it
}

// has returns the item of a hash that is queued, or nil.
func (o *order[T]) has(hash uint64) *item[T] {
	for _, it := range o.queued {
		if it.hash == hash {
			return it
		}
	}
	return nil
}
