package fence

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// exactFence is what Fence approximates: it remembers every event for ever and
// compares enumerated ids, sharing no code with Sees, Includes or the slots.
type exactFence struct {
	floor  Snapshot
	events []Event
}

func (e *exactFence) admits(label Snapshot, tags []Tag, span int) bool {
	sees := visibleIDs(label, 0, span)
	for x, inFloor := range visibleIDs(e.floor, 0, span) {
		if inFloor && !sees[x] {
			return false
		}
	}
	for _, event := range e.events {
		if !sees[event.XID] && slices.ContainsFunc(tags, func(t Tag) bool { return slices.Contains(event.Tags, t) }) {
			return false
		}
	}
	return true
}

// overflowWorld drives a Fence with few slots and the exact one alike.
type overflowWorld struct {
	t     *rapid.T
	db    *modelPostgres
	fence *Fence
	exact exactFence
	tags  []Tag
	// labels are snapshots of which entries may exist, the first head first.
	labels []Snapshot
	// tickets live on from look to look, so that the shortcut is tested too.
	tickets []*Ticket
	// After the last look a verdict must be exact for labels that are one of heads
	// and, in slots that the look did not overflow, for all that include from.
	heads []Snapshot
	from  Snapshot
	// filed holds, by slot, what the last look brought.
	filed map[uint64]map[stamp]bool
}

const ticketsMax = 60

// TestFoldedSlotsNeverAdmitMoreThanTheExactRule lets slots overflow in every
// way: by old events, by the events of one look, by tags that share them.
//
//   - What the fence admits, the exact rule admits.
//   - For a tag that has its slot alone, and a label that is the head or the head
//     before, the verdicts are equal. So they are for any label that includes the
//     head before (after a reset: the floor), unless one look alone overflowed
//     the slot.
func TestFoldedSlotsNeverAdmitMoreThanTheExactRule(t *testing.T) {
	folds := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &overflowWorld{t: t, db: newModelPostgres(0)}
		w.fence = New(Options{Slots: rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "slots")})
		for i := range rapid.IntRange(1, 6).Draw(t, "tags") {
			w.tags = append(w.tags, Tag(i))
		}
		w.reset()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				w.db.write(w.db.begin(), nil, w.someTags())
			case 2, 3:
				w.endOne()
			case 4:
				w.burst(rapid.IntRange(1, recentMax/2).Draw(t, "few"))
			case 5:
				w.burst(rapid.IntRange(recentMax-2, recentMax+8).Draw(t, "many"))
			case 6:
				w.labels = append(w.labels, w.db.snapshot())
			case 7, 8:
				w.advance()
			case 9:
				w.reset()
			}
		}
		w.advance()
		for i := range w.fence.slots {
			if w.fence.slots[i].floor != nil {
				folds++
			}
		}
	})
	if folds == 0 {
		t.Error("no slot ever overflowed")
	}
}

func (w *overflowWorld) someTags() []Tag {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(w.tags), 1, 2, rapid.ID[Tag]).Draw(w.t, "tags of event")
}

func (w *overflowWorld) endOne() {
	if len(w.db.running) == 0 {
		return
	}
	t := rapid.SampledFrom(w.db.running).Draw(w.t, "ending")
	if rapid.IntRange(0, 3).Draw(w.t, "end") == 0 {
		w.db.abort(t)
		return
	}
	w.db.commit(t, true)
}

// burst commits n transactions that change the same tag.
func (w *overflowWorld) burst(n int) {
	tags := []Tag{rapid.SampledFrom(w.tags).Draw(w.t, "busy tag")}
	for range n {
		t := w.db.begin()
		w.db.write(t, nil, tags)
		w.db.commit(t, true)
	}
}

func (w *overflowWorld) advance() {
	previous := w.fence.Head()
	look := w.db.look(newSince(previous))
	head := &Head{one, look.snapshot}
	w.fence.Advance(head, look.events, 1)
	w.exact.events = append(w.exact.events, look.events...)
	w.heads, w.from = []Snapshot{previous.Snapshot, head.Snapshot}, previous.Snapshot
	w.checkAll(head, look.events)
}

// reset begins anew, with all events since an older snapshot, and perhaps some
// before it, or with none.
func (w *overflowWorld) reset() {
	look := w.db.look(newSince(nil))
	head := &Head{one, look.snapshot}
	floor := head.Snapshot
	if len(w.labels) > 0 && rapid.Bool().Draw(w.t, "older floor") {
		floor = rapid.SampledFrom(w.labels).Draw(w.t, "floor")
		if rapid.Bool().Draw(w.t, "trimmed") {
			look.events = slices.DeleteFunc(look.events, func(e Event) bool { return floor.Sees(e.XID) })
		}
	} else {
		look.events = nil
	}
	w.fence.Reset(head, floor, look.events, 1)
	w.exact = exactFence{floor: floor, events: look.events}
	w.heads, w.from = []Snapshot{head.Snapshot}, floor
	w.checkAll(head, look.events)
}

func (w *overflowWorld) checkAll(head *Head, events []Event) {
	w.filed = map[uint64]map[stamp]bool{}
	for _, e := range events {
		for _, tag := range e.Tags {
			slot := uint64(tag) & w.fence.mask
			if w.filed[slot] == nil {
				w.filed[slot] = map[stamp]bool{}
			}
			w.filed[slot][stamp{tag, e.XID}] = true
		}
	}
	w.labels = append(w.labels, head.Snapshot)
	for _, label := range w.labels[max(0, len(w.labels)-6):] {
		for _, tag := range w.tags {
			w.addTicket(label, []Tag{tag})
		}
		w.addTicket(label, w.someTags())
	}
	for _, ticket := range w.tickets {
		w.check(ticket)
	}
}

func (w *overflowWorld) addTicket(label Snapshot, tags []Tag) {
	w.tickets = append(w.tickets, NewTicket(Label{Incarnation: one, Lower: label}, tags, 0))
	w.tickets = w.tickets[max(0, len(w.tickets)-ticketsMax):]
}

func (w *overflowWorld) check(ticket *Ticket) {
	label := ticket.Label().Lower
	admitted := w.fence.Admits(ticket)
	exact := w.exact.admits(label, ticket.Tags(), int(w.db.next)+1)
	if admitted && !exact {
		w.t.Fatalf("label %v with tags %v is admitted against the exact rule", label, ticket.Tags())
	}
	if exact && !admitted && w.mustBeExact(label, ticket.Tags()) {
		w.t.Fatalf("label %v with tags %v is refused without need; heads %v, from %v", label, ticket.Tags(), w.heads, w.from)
	}
}

func (w *overflowWorld) mustBeExact(label Snapshot, tags []Tag) bool {
	overflowed := false
	for _, tag := range tags {
		slot := uint64(tag) & w.fence.mask
		for _, other := range w.tags {
			if other != tag && uint64(other)&w.fence.mask == slot {
				return false
			}
		}
		overflowed = overflowed || len(w.filed[slot]) > recentMax
	}
	for _, head := range w.heads {
		if sameSnapshot(head, label) {
			return true
		}
	}
	return !overflowed && label.Includes(w.from)
}

// With its slot alone, one event more than a slot holds:
//
//   - if they came in several looks, those that the head before had are folded;
//   - if they came in one look, the slot trusts nothing older than that look.
func TestFullSlotFoldsToTheHeadBeforeOrAfter(t *testing.T) {
	f := startedAt(100, Options{Slots: 1})
	for i := range XID(recentMax + 1) {
		f.Advance(headAt(101+i), []Event{{100 + i, []Tag{1}}}, 2)
	}
	last := XID(100 + recentMax)
	if got := &f.slots[0]; got.floor == nil || !sameSnapshot(*got.floor, at(last)) || len(got.recent) != 1 {
		t.Errorf("folded to %v with %d events kept, want %v with 1", got.floor, len(got.recent), at(last))
	}
	if f.Admits(labelled(last, 1)) || !f.Admits(labelled(last+1, 1)) {
		t.Error("the newest event was not kept exactly")
	}
	if !f.Admits(labelled(last, 2)) || f.Admits(labelled(last-1, 2)) {
		t.Error("another tag of the slot is not trusted exactly from the head before on")
	}

	f = startedAt(100, Options{Slots: 1})
	var events []Event
	for i := range XID(recentMax + 9) {
		events = append(events, Event{100 + i, []Tag{1}})
	}
	after := XID(100 + recentMax + 9)
	f.Advance(headAt(after), events, 2)
	if got := &f.slots[0]; got.floor == nil || !sameSnapshot(*got.floor, at(after)) || len(got.recent) != 0 {
		t.Errorf("folded to %v with %d events kept, want %v with none", got.floor, len(got.recent), at(after))
	}
	if f.Admits(labelled(after-1, 2)) || !f.Admits(labelled(after, 1)) {
		t.Error("the slot does not trust exactly the labels from the head after on")
	}
}

// A slot's floor ends with the knowledge that it belongs to: in another
// incarnation, where ids are lower, it would forbid entries for a long time.
func TestResetForgetsTheFloorsOfSlots(t *testing.T) {
	f := startedAt(100, Options{Slots: 1})
	for i := range XID(recentMax + 1) {
		f.Advance(headAt(101+i), []Event{{100 + i, []Tag{1}}}, 2)
	}
	if f.slots[0].floor == nil {
		t.Fatal("the slot did not overflow")
	}
	two := &Head{"two", at(60)}
	f.Reset(two, at(60), nil, 3)
	if !f.Admits(NewTicket(LabelAt(two), []Tag{1}, 3)) {
		t.Error("an entry at the new head is refused")
	}
}

// The memory of a slot is bounded whatever comes.
func TestSlotKeepsAtMostRecentMax(t *testing.T) {
	f := startedAt(1, Options{Slots: 1})
	x := XID(1)
	for look := range 50 {
		var events []Event
		for range look {
			events = append(events, Event{x, []Tag{Tag(x % 7)}})
			x++
		}
		f.Advance(headAt(x), events, 2)
		if n := len(f.slots[0].recent); n > recentMax || cap(f.slots[0].recent) > 2*recentMax {
			t.Fatalf("after look %d the slot keeps %d events in room for %d", look, n, cap(f.slots[0].recent))
		}
	}
}
