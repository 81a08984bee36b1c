package engine

import (
	"sync/atomic"

	"github.com/freshet/freshet/cache/fence"
)

// Cause is what there was instead of an entry that could be served.
type Cause uint8

// The causes of a miss.
const (
	// Cold: the key was not asked for, or so long ago that nobody remembers.
	Cold Cause = iota
	// Expired: the entry's life was over.
	Expired
	// Invalidated: an event has ended the entry.
	Invalidated
	// Evicted: the entry had to go for others, or was not let in for them.
	Evicted
	// Unfit: there is an entry, and the reader demands more than can be said of it.
	Unfit
	// Overtaken: an event came while the answer was loaded.
	Overtaken
	// TooLarge: the answer was above EntryMax.
	TooLarge

	// Causes is how many there are.
	Causes
)

// String gives the name used in statistics, metrics and documents.
func (c Cause) String() string {
	return [...]string{"cold", "expired", "invalidated", "evicted", "unproven", "overtaken", "too_large"}[c]
}

// fatesMax is how many keys are remembered that have no entry, a power of two.
const fatesMax = 1 << 15

// fates remember what became of entries that are not there, by their hashes. Each place
// holds the latest of the keys that share it, and two keys with one hash share a fate: it
// is for statistics alone.
type fates [fatesMax]atomic.Uint64

const fateMask = 0xff

func (f *fates) place(hash uint64) *atomic.Uint64 { return &f[hash>>8%fatesMax] }

func (f *fates) note(hash uint64, c Cause) { f.place(hash).Store(hash&^fateMask | uint64(c)) }

func (f *fates) of(hash uint64) Cause {
	if fate := f.place(hash).Load(); fate&^fateMask == hash&^fateMask {
		return Cause(fate & fateMask)
	}
	return Cold
}

// NoteTooLarge counts an answer that was not kept because it is above EntryMax, where its
// caller has seen to that.
func (c *Cache) NoteTooLarge(key []byte) {
	c.counters.tooLarge.Add(1)
	c.fates.note(c.Hash(key), TooLarge)
}

// Missed tells why a reader misses a key who found e in the first tier, or nil, at Hash(key).
func (c *Cache) Missed(e *Entry, hash uint64) Cause {
	if e == nil {
		return c.fates.of(hash)
	}
	if cause, over := c.ended(e, fence.Now()); over {
		return cause
	}
	if !c.fence.Admits(e.Ticket) {
		return Invalidated // by what is only foretold
	}
	return Unfit
}
