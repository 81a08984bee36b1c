package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// slots bound the loads of wrapped functions that are under way at once. A load holds one
// from before it begins until it has ended, whether or not its caller is still there.
//
// A load that is part of another takes none: it runs in the time of the one that asked for
// it, which would otherwise wait for a slot that it holds itself. And who waits for a slot
// leads no flight meanwhile:
//
//  1. A's load has the last slot;
//  2. B leads the flight of a key, and waits for a slot;
//  3. A's load asks for the same key, and waits for B's flight.
//
// Neither would ever go on. So B gives up the lead before it waits, and looks for the
// answer again when it has a slot: A's load may have brought it. Forced by
// TestNestedLoadOfWhatWaitsForASlot.
type slots struct {
	taken   chan struct{} // nil: there is no bound
	waiting atomic.Int64  // readers that wait for a slot
}

func newSlots(loadsMax int) slots {
	if loadsMax == 0 {
		return slots{}
	}
	return slots{taken: make(chan struct{}, loadsMax)}
}

// slot is what a load has: the right to run, to be given back once. The zero value says
// that there is none yet.
type slot uint8

const (
	noSlot slot = iota
	// freeSlot is one that nobody has to give back: of a nested load, or without a bound.
	freeSlot
	// heldSlot is one of those that there are.
	heldSlot
)

// try takes a slot if there is one, for a load that is part of outer, nil if of none.
func (s *slots) try(outer *load) slot {
	if s.taken == nil || outer != nil && !outer.ended.Load() {
		return freeSlot
	}
	select {
	case s.taken <- struct{}{}:
		return heldSlot
	default:
		return noSlot
	}
}

// trySpare takes a slot for a load that nobody waits for, unless a reader waits for one. It
// looks for readers when it has the slot. Before:
//
//  1. it finds that no reader waits;
//  2. a reader finds all slots taken, and waits;
//  3. a load ends, and its slot is taken here;
//  4. the reader waits for a load that nobody has asked for.
//
// Forced by TestSpareSlotIsNoReaders.
func (s *slots) trySpare() slot {
	one := s.try(nil)
	if one != noSlot && s.waiting.Load() > 0 {
		s.give(one)
		return noSlot
	}
	return one
}

// give gives a slot back.
func (s *slots) give(one slot) {
	if one == heldSlot {
		<-s.taken
	}
}

// trySlot takes a slot for a load of the function that is part of outer, nil if of none.
func (w *wrapped[K, V]) trySlot(outer *load) slot {
	if w.policy.Elsewhere {
		return freeSlot
	}
	return w.cache.slots.try(outer)
}

// awaitSlot waits for a slot, which whoever calls it must give back. A closed cache has
// one for everybody: its loads are bounded by nothing.
func (w *wrapped[K, V]) awaitSlot(ctx context.Context, outer *load) (slot, error) {
	if w.policy.Elsewhere {
		return freeSlot, nil
	}
	return w.cache.awaitSlot(ctx, w.name, outer)
}

// awaitSlot is that of a function with a name.
func (c *Cache) awaitSlot(ctx context.Context, name string, outer *load) (slot, error) {
	s := &c.slots
	if one := s.try(outer); one != noSlot {
		return one, nil
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	patience := time.NewTimer(c.loadMax)
	defer patience.Stop()
	select {
	case s.taken <- struct{}{}:
		return heldSlot, nil
	case <-c.closing.Done():
		return freeSlot, nil
	case <-ctx.Done():
		return noSlot, fmt.Errorf("wait for %s: %w", name, context.Cause(ctx))
	case <-patience.C:
		return noSlot, fmt.Errorf("load %s: %w", name, ErrOverloaded)
	}
}
