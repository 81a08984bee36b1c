package memory

import "sync/atomic"

// frontSlots is how many items can stand in front, a power of two.
const frontSlots = 4096

// front are the items that everybody asks for. A reader finds one with a look at a
// pointer: no lock is held for it, and nothing is written that other processors read,
// which is most of what a reading of Ristretto costs.
type front[T any] struct {
	slots [frontSlots]atomic.Pointer[item[T]]
}

func (f *front[T]) slot(hash uint64) *atomic.Pointer[item[T]] { return &f.slots[hash%frontSlots] }

// get returns the item of a hash, nil if it does not stand in front.
func (f *front[T]) get(hash uint64) *item[T] {
	it := f.slot(hash).Load()
	if it == nil || it.hash != hash || it.gone.Load() {
		return nil
	}
	return it
}

// offer gives an item that was found in Ristretto a place in front, if it is popular, and
// who has the place is not.
//
// Without the second look at gone:
//
//  1. a reader finds an item in Ristretto;
//  2. a set takes its place: it is gone, and does not stand in front;
//  3. the reader puts it there. Nobody is given it, as it is gone; but nobody lets go of
//     its memory either, which counts for nothing.
//
// Forced by TestItemThatGoesWhileItIsOffered.
func (f *front[T]) offer(it *item[T], age uint64) {
	if it.count(age) < usesMax {
		return
	}
	slot := f.slot(it.hash)
	there := slot.Load()
	if there != nil && there.count(age) >= usesMax || !slot.CompareAndSwap(there, it) {
		return
	}
	if it.gone.Load() {
		slot.CompareAndSwap(it, nil)
	}
}

// drop is called when an item is a resident no longer. Nobody finds it in front any more.
func (f *front[T]) drop(it *item[T]) {
	it.gone.Store(true)
	f.slot(it.hash).CompareAndSwap(it, nil)
}

// clear empties the front while nobody offers.
func (f *front[T]) clear() {
	for i := range f.slots {
		f.slots[i].Store(nil)
	}
}
