package memory

import (
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/internal/stripe"
)

// batchMax is how many items of one order Ristretto is given at once. To be given one wakes
// its goroutine, which takes longer than all the rest of a set.
const batchMax = 16

// order makes changes of one key take effect one after the other.
//
// Ristretto inserts what it does not have in a goroutine of its own. Nobody waits for
// that: items are gathered, and found, here, and given to it together; and it is remembered
// what is on its way. Who changes the same key again waits, or this could happen:
//
//  1. A sets the absent key: Ristretto queues an insertion;
//  2. B sets the key, still absent: Ristretto queues another;
//  3. Ristretto inserts A's value, finds the key present at B's, drops it;
//  4. B's reader is given A's value.
//
// Forced by TestSetAfterSetKeepsTheNewer.
type order[T any] struct {
	sync.Mutex
	// waiting are items that Ristretto was not given yet, given those that it may not have
	// inserted yet. None of the former was replaced or forgotten since.
	waiting, given batch[T]
	// arrived counts how often all of given had been inserted, and were forgotten here.
	arrived atomic.Uint64
	_       stripe.Padding
}

// batch is a few items, found by their hashes, which lie side by side.
type batch[T any] struct {
	n      int
	hashes [batchMax]uint64
	items  [batchMax]*item[T]
}

// at returns where the item of a hash is, -1 if there is none.
func (b *batch[T]) at(hash uint64) int {
	for i, h := range b.hashes[:b.n] {
		if h == hash {
			return i
		}
	}
	return -1
}

func (b *batch[T]) add(it *item[T]) {
	b.hashes[b.n], b.items[b.n] = it.hash, it
	b.n++
}

func (b *batch[T]) remove(i int) {
	b.n--
	b.hashes[i], b.items[i] = b.hashes[b.n], b.items[b.n]
	b.items[b.n] = nil
}

func (b *batch[T]) clear() {
	clear(b.items[:b.n])
	b.n = 0
}

func (s *Store[T]) order(hash uint64) *order[T] { return &s.orders[hash%orders] }

// heldLocked returns the item of a hash, nil if there is none. It has either not been given
// to Ristretto, then its place among those is not negative, or been inserted.
func (s *Store[T]) heldLocked(o *order[T], hash uint64) (it *item[T], waiting int) {
	if i := o.waiting.at(hash); i >= 0 {
		return o.waiting.items[i], i
	}
	if o.given.at(hash) >= 0 {
		s.awaitGivenLocked(o)
	}
	it, _ = s.items.Get(hash)
	return it, -1
}

// dropLocked takes out an item that heldLocked has returned.
func (s *Store[T]) dropLocked(o *order[T], it *item[T], waiting int) {
	if waiting >= 0 {
		o.waiting.remove(waiting)
		return
	}
	s.items.Del(it.hash)
}

// giveLocked gives Ristretto all that waits in an order. By then it mostly has what it was
// given before; otherwise this waits for it. It inserts one after the other, in the order in
// which it was given them, so that it has all if it has the last.
func (s *Store[T]) giveLocked(o *order[T]) {
	if last := o.given.n - 1; last >= 0 {
		if there, ok := s.items.Get(o.given.hashes[last]); !ok || there != o.given.items[last] {
			s.items.Wait()
		}
	}
	s.forgetGivenLocked(o)
	for _, it := range o.waiting.items[:o.waiting.n] {
		switch {
		case s.items.Set(it.hash, it, ristrettoCost):
			o.given.add(it)
		case s.residents.leave(it):
			s.reject(it.hash, it.value)
		}
	}
	o.waiting.clear()
}

// awaitGivenLocked waits until Ristretto has all that an order has given it.
func (s *Store[T]) awaitGivenLocked(o *order[T]) {
	s.items.Wait()
	s.forgetGivenLocked(o)
}

func (s *Store[T]) forgetGivenLocked(o *order[T]) {
	o.given.clear()
	o.arrived.Add(1)
}

// findLate looks for an item that Ristretto did not have a moment ago, after arrived was
// read: it waits to be given, is on its way, or has arrived since.
func (s *Store[T]) findLate(o *order[T], hash, arrived uint64) *item[T] {
	o.Lock()
	defer o.Unlock()
	if i := o.waiting.at(hash); i >= 0 {
		return o.waiting.items[i]
	}
	if i := o.given.at(hash); i >= 0 {
		return o.given.items[i]
	}
	if o.arrived.Load() == arrived {
		return nil
	}
	it, _ := s.items.Get(hash)
	return it
}
