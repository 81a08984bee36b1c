package engine

import (
	"sync/atomic"

	"github.com/freshet/freshet/cache/internal/stripe"
	"github.com/freshet/freshet/cache/memory"
)

// counters are what the cache counts.
type counters struct {
	lookups [stripe.Count]lookupCounters

	fetched, coalesced, alone         atomic.Uint64
	unusable                          [faults]atomic.Uint64
	stored, tooLarge, overtaken       atomic.Uint64
	published, dropped, kept          atomic.Uint64
	invalidated                       atomic.Uint64
	gone                              [Causes]atomic.Uint64
	leases, leasesAwaited, leasesVain atomic.Uint64
}

// lookupCounters are those of some goroutines.
type lookupCounters struct {
	hits, misses, unproven atomic.Uint64
	_                      stripe.Padding
}

// own returns the counters of the calling goroutine.
func (c *counters) own() *lookupCounters { return &c.lookups[stripe.OfCaller()] }

// Stats are counts since New.
type Stats struct {
	Hits     uint64 // Lookup: served from the first tier
	Misses   uint64 // Lookup: nothing that may be served
	Unproven uint64 // Lookup: the newest head was too old to say

	Fetched   uint64 // entries copied from the remote tier
	Unusable  uint64 // records of the remote tier that were of no use, for one of the next three reasons
	Broken    uint64 // those that could not be read, were of another key or above EntryMax
	Expired   uint64 // those whose life was over
	Outdated  uint64 // those that an event had overtaken
	Coalesced uint64 // readers that took another's load
	Alone     uint64 // readers that missed and loaded without others to share

	Stored    uint64 // entries put into the first tier
	TooLarge  uint64 // entries above EntryMax
	Overtaken uint64 // entries that an event made useless before they were stored or published

	// Invalidated counts entries of the first tier that an event has ended: when somebody asks
	// for them, when they leave, or within half a minute, or so.
	Invalidated uint64
	// GoneForRoom, GoneExpired and GoneInvalidated count entries that have left the first tier:
	// good ones for others, and those that had ended before, for others or for a new answer.
	GoneForRoom, GoneExpired, GoneInvalidated uint64

	// Compresses says whether records are compressed for the remote tier, where that pays; RecordBytes
	// are those of records before, and PackedBytes after that.
	Compresses               bool
	RecordBytes, PackedBytes uint64

	Published uint64 // entries sent to the remote tier
	Kept      uint64 // entries that were not for the remote tier, as it is not asked for them
	Dropped   uint64 // entries not sent: queue full, no look in time, the tier refused

	Leases        uint64 // loads begun on behalf of all processes
	LeasesAwaited uint64 // entries found after waiting for the load of another process
	LeasesVain    uint64 // waits for such a load that brought nothing

	// MissRatios estimate what the first tier would miss with other sizes; nil while too few
	// reads of too few keys were sampled.
	MissRatios []MissRatio

	// Memory is the first tier.
	Memory memory.Stats
}

// Reads returns a number that moves with each question to the first tier.
func (c *Cache) Reads() (n uint64) {
	for i := range c.counters.lookups {
		l := &c.counters.lookups[i]
		n += l.hits.Load() + l.misses.Load() + l.unproven.Load()
	}
	return n
}

// Stats returns counts that were each right at some moment of the call.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{
		Fetched: n.fetched.Load(), Coalesced: n.coalesced.Load(), Alone: n.alone.Load(),
		Stored: n.stored.Load(), TooLarge: n.tooLarge.Load(), Overtaken: n.overtaken.Load(),
		Published: n.published.Load(), Dropped: n.dropped.Load(), Kept: n.kept.Load(),
		Leases: n.leases.Load(), LeasesAwaited: n.leasesAwaited.Load(), LeasesVain: n.leasesVain.Load(),
		Invalidated: n.invalidated.Load(), GoneForRoom: n.gone[Evicted].Load(), GoneExpired: n.gone[Expired].Load(), GoneInvalidated: n.gone[Invalidated].Load(),
		MissRatios: c.curve.ratios(c.uses.reads()),
		Memory:     c.memory.Stats(),
	}
	s.Compresses, s.RecordBytes, s.PackedBytes = c.envelopes.compress, c.envelopes.packing.before.Load(), c.envelopes.packing.after.Load()
	s.Broken, s.Expired, s.Outdated = n.unusable[broken].Load(), n.unusable[expired].Load(), n.unusable[overtaken].Load()
	s.Unusable = s.Broken + s.Expired + s.Outdated
	for i := range n.lookups {
		s.Hits += n.lookups[i].hits.Load()
		s.Misses += n.lookups[i].misses.Load()
		s.Unproven += n.lookups[i].unproven.Load()
	}
	return s
}
