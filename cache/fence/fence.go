package fence

import (
	"sync"
	"sync/atomic"
	"time"
)

// slotsDefault is the number of slots when Options says nothing: 1 MiB of
// cells, and 3 MiB of slots while they are empty.
const slotsDefault = 1 << 16

// recentMax bounds the events remembered in one slot. At the limit the slot
// trusts no label older than the head before: it forgets events and distrusts
// what it forgot, in one step.
const recentMax = 32

// Options configure a Fence. The zero value is good.
type Options struct {
	// Slots is the number of slots that tags share, rounded up to a power of two.
	// More slots mean fewer slow checks, not fresher answers. 0 means 65536.
	Slots int
}

// Fence answers whether an entry may be served. One goroutine, the follower,
// calls Reset and Advance; one more Foretell; any number call the other methods.
type Fence struct {
	// The three fields below are published in this order: slots, head, clock. A
	// reader takes the clock first and the counters second, so what it is told is
	// at least as new as the clock says.
	lookBegan atomic.Int64
	head      atomic.Pointer[Head]
	// generation moves with every Reset, before anything is forgotten.
	generation atomic.Uint64
	// moves counts how often slots were told something, all of them together: it moves after
	// their counters, and before the head.
	moves atomic.Uint64

	floor atomic.Pointer[Snapshot]
	mask  uint64
	cells []cell
	slots []slot
	// lag is how much earlier than lookBegan the head may lack something.
	lag atomic.Int64
	// marked is when anything at all was acknowledged as possibly written last, and
	// classes when tags of a class were. markedLast is the latest of these and of all cells'.
	marked     atomic.Int64
	classes    [1 << classBits]atomic.Int64
	markedLast atomic.Int64

	// hints are what others say that has been committed, see Foretell. hintsMu guards their
	// slots, and is taken before a slot's own lock.
	hintsMu sync.Mutex
	hints   hints

	// afterFloor, unless nil, is called in every slow check between the floor and
	// the slots, for tests that force an interleaving there.
	afterFloor func()
}

// cell is what every hit reads of a slot, side by side.
type cell struct {
	// counter moves with every event.
	counter atomic.Uint64
	// marked is when a write to one of the slot's tags was acknowledged last.
	marked atomic.Int64
}

// slot remembers the latest events of the tags that fall into it.
type slot struct {
	mu     sync.Mutex
	recent []stamp
	// floor, unless nil, includes every event that was dropped from recent.
	floor *Snapshot
	// foretold are events that others say were committed, until a look has shown it.
	foretold []foretold
	// used is set when an entry with one of the slot's tags was found good, and reset by
	// the next event.
	used bool
}

type stamp struct {
	tag Tag
	xid XID
}

// New returns a fence that admits nothing until the first Reset.
func New(o Options) *Fence {
	n := 1
	for n < o.Slots || o.Slots == 0 && n < slotsDefault {
		n <<= 1
	}
	return &Fence{mask: uint64(n - 1), cells: make([]cell, n), slots: make([]slot, n)}
}

// Reset starts a new knowledge at head: events are all that are known, floor is
// the snapshot from which on they are complete, began is when the look that
// brought them started. Whatever was known before is forgotten, and entries
// whose label does not include floor are admitted no more.
func (f *Fence) Reset(head *Head, floor Snapshot, events []Event, began Instant) {
	// Without a clock and a head nobody is served while the knowledge is being
	// replaced; who took them before finds the generation moved: see admitSlowly.
	f.lookBegan.Store(0)
	f.head.Store(nil)
	f.generation.Add(1)
	f.floor.Store(&floor)
	for i := range f.slots {
		s := &f.slots[i]
		s.mu.Lock()
		s.recent, s.floor = nil, nil
		f.cells[i].counter.Add(1)
		s.mu.Unlock()
	}
	f.moves.Add(1)
	f.apply(events, &floor, &head.Snapshot)
	f.head.Store(head)
	f.lookBegan.Store(int64(began))
	f.dropForetold(began)
}

// Advance moves the head forward by one look that began at began and brought
// every event visible in head and not in the head before. A look at which began is 0 is
// filed and vouches for nothing: see Rest.
func (f *Fence) Advance(head *Head, events []Event, began Instant) {
	f.apply(events, &f.head.Load().Snapshot, &head.Snapshot)
	f.head.Store(head)
	f.lookBegan.Store(int64(began))
	f.dropForetold(began)
}

// Rest takes away what vouches for the head: whoever reads from now on, however much
// staleness it allows, waits for a look that begins later, or does without the cache.
// What is known of events stays. The follower calls it before it stops looking.
func (f *Fence) Rest() {
	var never Instant
	f.lookBegan.Store(int64(never))
}

// apply files events that became known between the heads before and after.
func (f *Fence) apply(events []Event, before, after *Snapshot) {
	for _, e := range events {
		for _, tag := range e.Tags {
			i := uint64(tag) & f.mask
			s := &f.slots[i]
			s.mu.Lock()
			s.add(stamp{tag, e.XID}, before, after)
			s.used = false
			f.cells[i].counter.Add(1)
			s.mu.Unlock()
		}
	}
	if len(events) > 0 {
		f.moves.Add(1)
	}
}

// add files one event. A full slot first forgets what the head before had
// already, then everything, and distrusts the labels that may lack it.
func (s *slot) add(e stamp, before, after *Snapshot) {
	if s.floor == after {
		return // every label that the slot trusts sees e
	}
	for _, known := range s.recent {
		if known == e {
			return
		}
	}
	if len(s.recent) >= recentMax {
		kept := s.recent[:0]
		for _, r := range s.recent {
			if !before.Sees(r.xid) {
				kept = append(kept, r)
			}
		}
		if len(kept) == len(s.recent) {
			s.recent, s.floor = s.recent[:0], after
			return
		}
		s.recent, s.floor = kept, before
	}
	s.recent = append(s.recent, e)
}

// Head returns the newest head, nil before the first look. A load takes it
// before its query is sent, and labels its result with it.
func (f *Fence) Head() *Head { return f.head.Load() }

// LookBegan returns when the last completed look began: every commit
// acknowledged before that moment is included in the head. It is zero before
// the first look, and after Rest.
func (f *Fence) LookBegan() Instant { return Instant(f.lookBegan.Load()) }

// SetLag says how much older than LookBegan the head may be in what no event reports
// and the follower has to find out: definitions, where there are no event triggers. 0,
// as at the start, means that nothing is. Who raises it does so before the head is
// published that it is about, who lowers it afterwards.
func (f *Fence) SetLag(d time.Duration) { f.lag.Store(int64(d)) }

// Lag returns what SetLag said: the bound of staleness is shorter by that.
func (f *Fence) Lag() time.Duration { return time.Duration(f.lag.Load()) }

// Fresh reports whether, at moment now, the head includes every commit
// acknowledged more than staleness ago.
func (f *Fence) Fresh(now Instant, staleness time.Duration) bool {
	began := f.LookBegan()
	return began != 0 && now.Sub(began) <= staleness-f.Lag()
}

// Admits reports whether the entry of ticket t may be served: whether its state
// lacks no received event of its tags. Ask for freshness (Fresh, LookBegan)
// before, not after. A refusal may be temporary (no head yet); an entry refused
// after the first look is of no use any more.
//
// Where nothing has moved at all since the ticket was compared with its slots, they are not
// looked at. That is why moves is counted after the slots' counters, and read before them. Were
// it counted first:
//
//  1. the follower counts that something moves, and begins to file an event;
//  2. a reader finds moves counted, and the slot of the ticket not moved yet, and notes both;
//  3. the follower files the event, moves the slot's counter, and publishes the head;
//  4. a reader finds that nothing moved since 2., and serves what the head knows to be old.
//
// Forced by TestMovesAreCountedAfterTheSlots.
func (f *Fence) Admits(t *Ticket) bool {
	generation := f.generation.Load()
	if generation == 0 {
		return false
	}
	if t.generation.Load() == generation {
		moves := f.moves.Load()
		if t.moves.Load() == moves {
			return true
		}
		if f.unmoved(t) {
			t.moves.Store(moves)
			return true
		}
	}
	return f.admitSlowly(t, generation)
}

// admitSlowly compares the label with the floor and with the events remembered.
//
// The interleaving it defends against:
//
//  1. a reader takes the head and the floor that are about to be replaced;
//  2. the follower resets: it raises the floor and empties the slots;
//  3. the reader finds the slots empty and would admit an entry that an event,
//     now forgotten, had forbidden.
//
// The generation moves before a slot is emptied, so who saw an emptied slot
// sees a moved generation afterwards, and asks again; who starts with the moved
// generation finds no head until the new knowledge is complete. Forced by
// TestResetDuringSlowCheck.
func (f *Fence) admitSlowly(t *Ticket, generation uint64) bool {
	for {
		admitted := f.admissible(t)
		now := f.generation.Load()
		if now == generation {
			if admitted {
				t.generation.Store(generation)
			}
			return admitted
		}
		generation = now
	}
}

func (f *Fence) admissible(t *Ticket) bool {
	head := f.head.Load()
	if head == nil || t.label.Incarnation != head.Incarnation || !t.label.Lower.Includes(*f.floor.Load()) {
		return false
	}
	if f.afterFloor != nil {
		f.afterFloor()
	}
	for i, tag := range t.tags {
		counter, ok, doubted := f.checkSlot(tag, &t.label.Lower)
		if doubted {
			f.doubted()
		}
		if !ok {
			return false
		}
		t.counters[i].Store(counter)
	}
	return true
}

// checkSlot reports whether a label sees every event of tag, and the counter at
// which that was so. doubted says that it is not so for what was foretold.
func (f *Fence) checkSlot(tag Tag, label *Snapshot) (counter uint64, ok, doubted bool) {
	i := uint64(tag) & f.mask
	s := &f.slots[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.floor != nil && !label.Includes(*s.floor) {
		return 0, false, false
	}
	for _, e := range s.recent {
		if e.tag == tag && !label.Sees(e.xid) {
			return 0, false, false
		}
	}
	for _, e := range s.foretold {
		if e.tag == tag && !label.Sees(e.xid) {
			return 0, false, true
		}
	}
	s.used = true
	return f.cells[i].counter.Load(), true, false
}

// Settled reports whether everything that an entry with label l shows is
// included in the head, so that serving it shows nothing of the future.
func (f *Fence) Settled(l Label) bool {
	head := f.head.Load()
	return head != nil && !l.Replica && !l.Upper.IsZero() && l.Incarnation == head.Incarnation && head.Snapshot.Includes(l.Upper)
}
