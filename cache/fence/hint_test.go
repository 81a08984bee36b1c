package fence

import (
	"sync/atomic"
	"testing"
)

// hinted is a fence at a head that sees everything below 10, and an entry of a tag with
// that label.
func hinted(t *testing.T) (*Fence, *Ticket) {
	t.Helper()
	f := New(Options{Slots: 4})
	head := &Head{one, Snapshot{10, 10, nil}}
	f.Reset(head, head.Snapshot, nil, 100)
	ticket := NewTicket(Label{Incarnation: one, Lower: head.Snapshot}, []Tag{5}, 100)
	if !f.Admits(ticket) {
		t.Fatal("the entry is refused")
	}
	return f, ticket
}

// An event that is foretold refuses what lacks it, at once, where nobody is using it; else a
// look is due. Neither the head nor the clock has moved.
func TestForetoldEventsRefuse(t *testing.T) {
	t.Parallel()
	f, ticket := hinted(t)
	var doubts atomic.Int64
	f.OnDoubt(func() { doubts.Add(1) })
	head := f.Head()
	if !f.Foretell(one, []Event{{12, []Tag{5}}}, 150) || !f.Admits(ticket) || doubts.Load() != 0 {
		t.Error("an entry that is in use concerns nobody, or is refused before a look")
	}
	f.Advance(head, []Event{{11, []Tag{5}}}, 155) // another event ends it: it is not in use
	if f.Foretell(one, []Event{{12, []Tag{5}}}, 160) || f.Foretell(one, []Event{{12, []Tag{5}}, {13, []Tag{5}}}, 160) {
		t.Error("what nobody uses concerns somebody")
	}
	some := NewTicket(Label{Incarnation: one, Lower: Snapshot{12, 12, nil}}, []Tag{5}, 100)
	if f.Admits(some) || doubts.Load() != 1 {
		t.Errorf("an entry is admitted that lacks it, or nobody is told: %d doubts", doubts.Load())
	}
	if f.Head() != head || f.LookBegan() != 155 {
		t.Errorf("head %v, clock %d", f.Head(), f.LookBegan())
	}
	// The look that follows brings both, and a load of then is good.
	after := &Head{one, Snapshot{14, 14, nil}}
	f.Advance(after, []Event{{12, []Tag{5}}, {13, []Tag{5}}}, 170)
	if f.Admits(ticket) || !f.Admits(NewTicket(Label{Incarnation: one, Lower: after.Snapshot}, []Tag{5}, 180)) {
		t.Error("after the look, the old entry is admitted, or the new one is not")
	}
}

// What was invented costs misses until a look that began after it was heard; one that was
// under way then says nothing about it.
func TestLiesCostMissesUntilTheNextLook(t *testing.T) {
	t.Parallel()
	f, _ := hinted(t)
	f.slots[1].used = false // 5 of 4 slots
	head := f.Head()
	fresh := func() bool { return f.Admits(NewTicket(Label{Incarnation: one, Lower: head.Snapshot}, []Tag{5}, 100)) }
	f.Foretell(one, []Event{{1 << 60, []Tag{5}}}, 150)
	if fresh() {
		t.Fatal("the lie refuses nothing")
	}
	f.Advance(head, nil, 149)
	if fresh() {
		t.Error("a look that began before it was heard has it dropped")
	}
	f.Advance(head, nil, 150)
	if !fresh() {
		t.Error("the lie outlives the look")
	}
	if len(f.hints.slots) != 0 {
		t.Errorf("%d slots are remembered", len(f.hints.slots))
	}
}

// Late hints, and those of another life of the server, change nothing; nor do any number.
func TestHintsAreBoundedAndOfThisIncarnation(t *testing.T) {
	t.Parallel()
	f, ticket := hinted(t)
	if f.Foretell(one, []Event{{9, []Tag{5}}}, 150) || f.Foretell("another", []Event{{12, []Tag{5}}}, 150) || !f.Admits(ticket) {
		t.Error("what is known or of another incarnation refuses")
	}
	f.slots[1].used = false // 5 of 4 slots
	for xid := range XID(1000) {
		f.Foretell(one, []Event{{20 + xid, []Tag{5, 6, 7, 8}}}, 150)
	}
	for i := range f.slots {
		if n := len(f.slots[i].foretold); n != foretoldMax {
			t.Errorf("slot %d holds %d events of 1000, want %d", i, n, foretoldMax)
		}
	}
	f.Reset(f.Head(), f.Head().Snapshot, nil, 200)
	for i := range f.slots {
		if n := len(f.slots[i].foretold); n > 0 {
			t.Errorf("after a reset, slot %d holds %d", i, n)
		}
	}
}
