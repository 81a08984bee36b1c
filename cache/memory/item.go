package memory

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// usesMax is where an item's uses are no longer counted. What is used by everybody
	// is mostly there, and is read without a write that all processors would see.
	usesMax = 15
	// worthMin and worthMax bound what one load is taken to cost: what is below costs
	// as much for the way to Postgres, and one that waited for a lock says little of
	// the next.
	worthMin = 50 * time.Microsecond
	worthMax = 10 * time.Second

	countBits = 8
	countMask = 1<<countBits - 1
)

// item is a value, and what says whether it stays.
type item[T any] struct {
	value *T
	hash  uint64
	cost  int64
	// density is what a use of the item saves for each of its bytes, dampened: one load
	// that took long, or one large value, is not worth a hundred others.
	density float64
	// uses are the uses in its last countBits, and in which age they were counted
	// above.
	uses atomic.Uint64
	// gone is set once the item is none of the residents any more.
	gone atomic.Bool
	// place is where the residents have it. They lock it.
	place int
}

// densityOf says what an item saves whose load took worth, for each of its bytes.
func densityOf(worth time.Duration, cost int64) float64 {
	return math.Sqrt(float64(min(max(worth, worthMin), worthMax)) / float64(cost))
}

// use notes that an item was read in an age. Two readers at once may count as one.
func (it *item[T]) use(age uint64) {
	uses := it.uses.Load()
	if now := aged(uses, age); now&countMask < usesMax {
		it.uses.CompareAndSwap(uses, now+1)
	}
}

// count returns the uses of an item in an age.
func (it *item[T]) count(age uint64) uint8 { return uint8(aged(it.uses.Load(), age) & countMask) }

// aged returns what uses are in a later age: half of them for each that has passed.
func aged(uses, age uint64) uint64 {
	passed := age - min(uses>>countBits, age)
	return age<<countBits | uses&countMask>>min(passed, countBits)
}
