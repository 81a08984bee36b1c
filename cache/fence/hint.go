package fence

import "sync/atomic"

const (
	// foretoldMax bounds the events of a slot that are foretold and not received yet, and
	// foretoldSlotsMax the slots that have such. Beyond, hints are not filed: the look that
	// they ask for brings what they told.
	foretoldMax      = 8
	foretoldSlotsMax = 4096
)

// foretold is an event that somebody else says was committed, and when it was heard.
type foretold struct {
	stamp
	heard Instant
}

// hints are what a Fence knows of foretold events beside the slots.
type hints struct {
	// slots are those that hold foretold events. The goroutine that calls Foretell adds to
	// them and the follower's clears them, with the lock of the fence's hintsMu.
	slots map[uint64]struct{}
	// doubt is called when an entry was refused because of a foretold event.
	doubt atomic.Pointer[func()]
}

// OnDoubt has f called whenever an entry is refused for a foretold event alone: a look
// makes the head include it, so that what is loaded from then on may be served. It must
// not wait.
func (f *Fence) OnDoubt(call func()) { f.hints.doubt.Store(&call) }

// Foretell files events that somebody else says were committed, in the incarnation of the
// head, before the moment at which that was heard. It reports whether anybody here has a
// use for what they end: then a look has to follow at once, which brings them together with
// the head that what is loaded afterwards is labelled with. Those that end nothing which
// is in use are filed, and refuse: who comes for it later asks for a look (OnDoubt). To
// refuse what is in use before that look would have it loaded with a label that lacks the
// event, for nothing.
//
// It can only refuse. Neither the head nor its clock nor the floor moves, so no label, no
// proof of freshness and no session relies on what was said, and whoever says too little,
// nothing, or it too late, changes nothing. Who says too much costs misses until the next
// look that begins after it was heard: that one brings what is true, and the rest is
// dropped (TestLiesCostMissesUntilTheNextLook, and kindStale of TestSimulation, in which
// hints are lost, late, repeated and invented).
//
// An event that is true and foretold before a look begins is brought by that look, or was
// by one before: who said it had seen it in a snapshot of the same server. So nothing that
// is dropped was needed:
//
//  1. another follower's look sees the commit of X, and it says X;
//  2. X is heard here, and filed;
//  3. a look begins here: its snapshot is later than that of 1. and includes X;
//  4. the look completes: X is filed as received, and dropped as foretold, in this order.
//
// It may be called while the follower calls Reset or Advance.
func (f *Fence) Foretell(incarnation Incarnation, events []Event, heard Instant) (concerns bool) {
	head := f.head.Load()
	if head == nil || head.Incarnation != incarnation {
		return false
	}
	f.hintsMu.Lock()
	defer f.hintsMu.Unlock()
	for _, e := range events {
		if head.Snapshot.Sees(e.XID) {
			continue
		}
		for _, tag := range e.Tags {
			concerns = f.foretellLocked(foretold{stamp{tag, e.XID}, heard}) || concerns
		}
	}
	return concerns
}

func (f *Fence) foretellLocked(e foretold) (concerns bool) {
	i := uint64(e.tag) & f.mask
	s := &f.slots[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.recent {
		if known == e.stamp {
			return false
		}
	}
	for _, known := range s.foretold {
		if known.stamp == e.stamp {
			return false
		}
	}
	if s.used {
		return true
	}
	_, listed := f.hints.slots[i]
	if len(s.foretold) >= foretoldMax || !listed && len(f.hints.slots) >= foretoldSlotsMax {
		return true
	}
	if f.hints.slots == nil {
		f.hints.slots = map[uint64]struct{}{}
	}
	f.hints.slots[i] = struct{}{}
	s.foretold = append(s.foretold, e)
	f.cells[i].counter.Add(1)
	f.moves.Add(1)
	return false
}

// dropForetold forgets what was foretold before a look began that has been filed: it was
// brought, or is not true.
func (f *Fence) dropForetold(began Instant) {
	f.hintsMu.Lock()
	defer f.hintsMu.Unlock()
	for i := range f.hints.slots {
		s := &f.slots[i]
		s.mu.Lock()
		kept := s.foretold[:0]
		for _, e := range s.foretold {
			if e.heard > began {
				kept = append(kept, e)
			}
		}
		s.foretold = kept
		s.mu.Unlock()
		if len(kept) == 0 {
			s.foretold = nil
			delete(f.hints.slots, i)
		}
	}
}

// doubted says that an entry was refused for a foretold event.
func (f *Fence) doubted() {
	if call := f.hints.doubt.Load(); call != nil {
		(*call)()
	}
}
