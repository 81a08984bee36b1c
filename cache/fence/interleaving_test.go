package fence

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// waitUntil polls a condition that another goroutine is about to make true.
func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// blockedIn reports whether a goroutine waits for a mutex within a method of
// Fence, after all that it does before taking that mutex.
func blockedIn(method string) bool {
	stacks := make([]byte, 1<<20)
	for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
		state, frames, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Contains(state, []byte("sync.Mutex.Lock")) && bytes.Contains(frames, []byte("(*Fence)."+method+"(")) {
			return true
		}
	}
	return false
}

// Two tags in two slots of a fence with two slots: a reset comes to low first.
const low, high = Tag(0), Tag(1)

// The interleaving described at admitSlowly:
//
//  1. event 100 on low is received; an entry labelled before it is refused;
//  2. a reader begins a slow check of that entry: the old floor is in its label;
//  3. the follower resets: floor 105, slots emptied, event 100 forgotten;
//  4. the reader looks into the slot of low and finds nothing against the entry;
//  5. the reader must refuse nevertheless.
func TestResetDuringSlowCheck(t *testing.T) {
	setup := func() (*Fence, *Ticket, *int) {
		f := startedAt(100, Options{Slots: 2})
		f.Advance(headAt(101), []Event{{100, []Tag{low}}}, 2)
		resets := 0
		f.afterFloor = func() {
			if resets++; resets == 1 {
				f.Reset(headAt(105), at(105), nil, 3)
			}
		}
		return f, labelled(100, low, high), &resets
	}

	f, ticket, _ := setup()
	if !f.admissible(ticket) {
		t.Fatal("the interleaving is not the dangerous one: one look at the slots refuses already")
	}
	f, ticket, resets := setup()
	if f.Admits(ticket) {
		t.Error("an entry is admitted that lacks an event forgotten by the reset")
	}
	if *resets == 0 {
		t.Error("the slow check never came past the floor")
	}
	if f.Admits(ticket) {
		t.Error("the refused entry is admitted later")
	}
}

// As before, but the reader ends while the reset is halfway:
//
//  1. to 2. as before;
//  3. the follower resets, and has emptied the slot of low, not yet that of high;
//  4. the reader looks into the slot of low and finds nothing against the entry;
//  5. the reader finds the generation moved, asks again, finds no head: refused;
//  6. the reset completes: refused for the floor.
func TestHalfResetDuringSlowCheck(t *testing.T) {
	f := startedAt(100, Options{Slots: 2})
	f.Advance(headAt(101), []Event{{100, []Tag{low}}}, 2)
	var done sync.WaitGroup
	began := false
	f.afterFloor = func() {
		if began {
			t.Error("the second try came past the floor without a head")
			return
		}
		began = true
		before := f.cells[high].counter.Load()
		f.slots[high].mu.Lock()
		done.Go(func() { f.Reset(headAt(105), at(105), nil, 3) })
		waitUntil(t, "the reset is halfway", func() bool { return blockedIn("Reset") })
		if f.cells[high].counter.Load() != before {
			t.Error("a counter moved before its slot was emptied")
		}
	}
	ticket := labelled(100, low)
	admitted := f.Admits(ticket)
	f.slots[high].mu.Unlock()
	done.Wait()
	f.afterFloor = nil
	if !began {
		t.Fatal("the slow check never came past the floor")
	}
	if admitted || f.Admits(ticket) {
		t.Error("an entry is admitted that lacks an event forgotten by the reset")
	}
}

// A reader holds the clock of the old knowledge while the new one is built:
//
//  1. a reader asks the clock: fresh; its entry is remembered as admissible;
//  2. the follower begins a reset and stops halfway;
//  3. the reader asks Admits: it must not be told by slots of which some are
//     emptied and some not;
//  4. whoever comes now finds no clock, no head, nothing settled;
//  5. all slots are emptied, the first event is being filed: the same;
//  6. the reset completes, with an event against the entry.
func TestReaderWithOldClockDuringReset(t *testing.T) {
	f := startedAt(100, Options{Slots: 2})
	ticket := labelled(100, low)
	if !f.Fresh(100, 10) || !f.Admits(ticket) {
		t.Fatal("refused before any event")
	}
	f.slots[high].mu.Lock()
	var done sync.WaitGroup
	done.Go(func() { f.Reset(headAt(105), at(100), []Event{{103, []Tag{low}}}, 110) })
	waitUntil(t, "the reset is halfway", func() bool { return blockedIn("Reset") })

	nothingIsKnown := func(stage string) {
		t.Helper()
		if f.Fresh(100, 1000) || f.LookBegan() != 0 || f.Head() != nil || f.Settled(Label{Incarnation: one, Lower: at(1), Upper: at(1)}) {
			t.Fatalf("%s, the fence claims to know something", stage)
		}
		if f.Admits(ticket) {
			t.Errorf("admitted while %s", stage)
		}
	}
	nothingIsKnown("slots are being emptied")
	f.slots[low].mu.Lock()
	f.slots[high].mu.Unlock()
	waitUntil(t, "the first event is being filed", func() bool { return blockedIn("apply") })
	nothingIsKnown("events are being filed")
	f.slots[low].mu.Unlock()
	done.Wait()
	if !f.Fresh(110, 0) {
		t.Error("not fresh after the reset")
	}
	if f.Admits(ticket) {
		t.Error("admitted although it lacks event 103")
	}
	if !f.Admits(labelled(104, low)) {
		t.Error("an entry that sees event 103 is refused")
	}
}

// An event is received while a load is on its way:
//
//  1. a load takes its label, head 100, and its query reads the row;
//  2. transaction 100 changes the row and commits;
//  3. a look brings the event: head 101;
//  4. the load ends and its entry is offered: it shows the row without 100.
func TestEventReceivedBetweenLabelAndEndOfLoad(t *testing.T) {
	f := startedAt(100, Options{})
	label := LabelAt(f.Head())
	f.Advance(headAt(101), []Event{{100, []Tag{low}}}, 2)
	if f.Admits(NewTicket(label, []Tag{low}, 3)) {
		t.Error("the overtaken load is admitted")
	}
	if !f.Admits(NewTicket(LabelAt(f.Head()), []Tag{low}, 3)) {
		t.Error("a label taken after the load would have hidden the event, or this test forces nothing")
	}
}

// The same with the entry in use already, so that the shortcut must notice:
//
//  1. to 2. as before, but the load ends and its entry is admitted and remembered;
//  3. the look that brings the event completes;
//  4. the entry is asked for again.
func TestEventReceivedAfterEntryWasRemembered(t *testing.T) {
	f := startedAt(100, Options{})
	ticket := NewTicket(LabelAt(f.Head()), []Tag{high, low}, 1)
	if !f.Admits(ticket) || ticket.generation.Load() != f.generation.Load() {
		t.Fatal("not remembered")
	}
	f.Advance(headAt(101), []Event{{100, []Tag{low}}}, 2)
	if f.Admits(ticket) {
		t.Error("the shortcut missed the event")
	}
}

// The follower is stopped in the middle of an Advance:
//
//  1. a look brings event 100 on low and on high; it is filed under low only;
//  2. the counter of high must not have moved: a reader that saw it move would
//     find nothing in the slot, and remember the entry at the moved counter;
//  3. head and clock must be the old ones: who saw the new head would hold
//     everything below it for known;
//  4. the Advance completes: slots, head and clock are new.
func TestHeadAndClockWaitForEverySlot(t *testing.T) {
	f := startedAt(100, Options{Slots: 2})
	ticket := labelled(100, high)
	f.Admits(ticket)
	before := f.cells[high].counter.Load()
	f.slots[high].mu.Lock()
	var done sync.WaitGroup
	done.Go(func() { f.Advance(headAt(101), []Event{{100, []Tag{low, high}}}, 110) })
	waitUntil(t, "the advance is halfway", func() bool { return blockedIn("apply") })

	if f.Admits(labelled(100, low)) {
		t.Error("the event was not filed under the first of its tags")
	}
	if f.cells[high].counter.Load() != before {
		t.Error("a counter moved before its slot had the event")
	}
	if f.Head().Snapshot.Xmax() != 100 || f.LookBegan() != 100 {
		t.Errorf("head %v and clock %d are ahead of the slots", f.Head().Snapshot, f.LookBegan())
	}
	f.slots[high].mu.Unlock()
	done.Wait()
	if f.Admits(ticket) || f.Head().Snapshot.Xmax() != 101 || f.LookBegan() != 110 {
		t.Errorf("after the advance: head %v, clock %d", f.Head().Snapshot, f.LookBegan())
	}
}

// A slow check of one goroutine stores what it saw after another goroutine's:
//
//  1. reader A begins a slow check of an admissible entry;
//  2. the follower resets to a floor that the entry includes;
//  3. reader B admits the entry in the new generation and remembers it;
//  4. an event against the entry is received;
//  5. A goes on, and stores counters beside B's generation.
func TestLateSlowCheckDoesNotReviveAnEntry(t *testing.T) {
	f := startedAt(100, Options{Slots: 2})
	ticket := labelled(102, low, high)
	first := true
	f.afterFloor = func() {
		if !first {
			return
		}
		first = false
		f.Reset(headAt(102), at(101), nil, 2)
		if !f.Admits(ticket) {
			t.Error("the entry includes the new floor and is refused")
		}
		f.Advance(headAt(104), []Event{{103, []Tag{high}}}, 3)
	}
	for range 3 {
		if f.Admits(ticket) {
			t.Error("admitted although it lacks event 103")
		}
	}
	if first {
		t.Error("the slow check never came past the floor")
	}
}

// Readers race with a follower whose every look k brings transaction k on the
// one tag, gives head k+1 and began at moment k+1. Slots are published before
// the head, the head before the clock; so
//
//   - who read clock c finds a head of at least c, and no entry labelled below
//     c is admitted afterwards, by the shortcut or by the slow check;
//   - who read head h is admitted nothing labelled below h.
//
// Every resetEvery-th look is a reset, for which the same must hold.
func TestClockIsPublishedAfterHeadAfterSlots(t *testing.T) {
	const looks, readers, resetEvery = 30_000, 2, 16
	f := startedAt(1, Options{Slots: 4})
	var ended atomic.Bool
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for !ended.Load() && !t.Failed() {
				raceOnce(t, f)
			}
		})
	}
	all.Go(func() {
		for !ended.Load() && !t.Failed() {
			clockWithinHead(t, f) // the window is narrow: a reader of nothing else
		}
	})
	for k := XID(1); k <= looks; k++ {
		if k%resetEvery == 0 {
			f.Reset(headAt(k+1), at(k+1), nil, Instant(k+1))
		} else {
			f.Advance(headAt(k+1), []Event{{k, []Tag{low}}}, Instant(k+1))
		}
	}
	ended.Store(true)
	all.Wait()
}

// clockWithinHead returns the clock, and requires that the head read after it is
// no older.
func clockWithinHead(t *testing.T, f *Fence) XID {
	clock := XID(f.LookBegan())
	if head := f.Head(); head != nil && head.Snapshot.Xmax() < clock {
		t.Errorf("clock %d is ahead of head %d", clock, head.Snapshot.Xmax())
	}
	return clock
}

// raceOnce holds one entry until the event against it is received.
func raceOnce(t *testing.T, f *Fence) {
	head := f.Head()
	if head == nil {
		return // in a reset
	}
	label := head.Snapshot.Xmax()
	kept := labelled(label, low)
	for range 1000 {
		clock := clockWithinHead(t, f)
		if f.Admits(kept) && label < clock {
			t.Errorf("clock %d, and a remembered entry of %d is admitted", clock, label)
		}
		if clock > 1 && f.Admits(labelled(clock-1, low)) {
			t.Errorf("clock %d, and an entry of %d is admitted", clock, clock-1)
		}
		if head := f.Head(); head != nil && f.Admits(labelled(head.Snapshot.Xmax()-1, low)) {
			t.Errorf("head %d, and an entry of the head before is admitted", head.Snapshot.Xmax())
		}
		if label < clock {
			return
		}
	}
}

// The interleaving described at Admits:
//
//  1. the follower files an event on low and on high, and waits before it files it on high;
//  2. a reader compares an entry that depends on high with its slot: nothing speaks against it;
//  3. the follower files the event on high, and ends;
//  4. the reader comes again, and must refuse.
func TestMovesAreCountedAfterTheSlots(t *testing.T) {
	f := startedAt(100, Options{Slots: 2})
	ticket := labelled(100, high)
	if !f.Admits(ticket) {
		t.Fatal("an entry that nothing speaks against is refused")
	}
	f.slots[high].mu.Lock()
	filed := make(chan struct{})
	go func() {
		defer close(filed)
		f.Advance(headAt(101), []Event{{100, []Tag{low, high}}}, 2)
	}()
	waitUntil(t, "the follower waits for the slot of high", func() bool { return blockedIn("apply") })
	for range 2 { // compared with the slot, and as was noted then
		if !f.Admits(ticket) {
			t.Error("refused before the event is filed: the interleaving is not the dangerous one")
		}
	}
	f.slots[high].mu.Unlock()
	<-filed
	if f.Admits(ticket) {
		t.Error("an entry is admitted that lacks an event of the head")
	}
}

// Who asks for the latest mark alone misses none, of whatever kind.
func TestEveryMarkIsTheLatest(t *testing.T) {
	t.Parallel()
	for name, mark := range map[string]func(*Fence){
		"of a tag":       func(f *Fence) { f.Mark(7, []Tag{low}) },
		"of a class":     func(f *Fence) { f.MarkClasses(7, []Class{low.Class()}) },
		"of anything":    func(f *Fence) { f.MarkAll(7) },
		"of before last": func(f *Fence) { f.Mark(7, []Tag{low}); f.MarkAll(3) },
	} {
		f := startedAt(100, Options{Slots: 2})
		if f.MarkedAfter(0) {
			t.Errorf("%s: marked before it was", name)
		}
		mark(f)
		if !f.MarkedAfter(6) || f.MarkedAfter(7) || f.Marked(labelled(100, low)) != 7 {
			t.Errorf("%s: after 6 %v, after 7 %v, at %d", name, f.MarkedAfter(6), f.MarkedAfter(7), f.Marked(labelled(100, low)))
		}
	}
}
