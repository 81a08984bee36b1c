package fence

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const one = Incarnation("one")

// at is the state in which exactly the transactions below x have ended.
func at(x XID) Snapshot { return Snapshot{xmin: x, xmax: x} }

func headAt(x XID) *Head { return &Head{one, at(x)} }

func labelled(x XID, tags ...Tag) *Ticket {
	return NewTicket(LabelAt(headAt(x)), tags, 0)
}

// startedAt is a fence whose knowledge begins at x.
func startedAt(x XID, o Options) *Fence {
	f := New(o)
	f.Reset(headAt(x), at(x), nil, Instant(x))
	return f
}

func TestNothingIsAdmittedBeforeTheFirstLook(t *testing.T) {
	f := New(Options{})
	if f.Admits(labelled(100, 1)) || f.Admits(NewTicket(Label{}, nil, 0)) {
		t.Error("admitted")
	}
	if f.Head() != nil || f.LookBegan() != 0 || f.Fresh(0, time.Hour) || f.Settled(Label{Incarnation: one, Lower: at(1), Upper: at(1)}) {
		t.Error("it claims to know something")
	}
}

func TestIncarnationRule(t *testing.T) {
	f := startedAt(100, Options{})
	for name, want := range map[Incarnation]bool{one: true, "two": false, "": false, "one ": false} {
		ticket := NewTicket(Label{Incarnation: name, Lower: at(200)}, []Tag{1}, 0)
		if got := f.Admits(ticket); got != want {
			t.Errorf("incarnation %q admitted: %v, want %v", name, got, want)
		}
	}
}

func TestFloorRule(t *testing.T) {
	f := New(Options{})
	f.Reset(&Head{one, parse(t, "90:105:90")}, parse(t, "90:100:90,95"), nil, 1)
	for text, want := range map[string]bool{
		"90:100:90,95":     true,  // the floor itself
		"90:100:90":        true,  // and one more
		"90:101:90,95,100": true,  // the same, spelled otherwise
		"90:105:90":        true,  // the head
		"90:99:90,95":      false, // lacks 99
		"90:100:90,95,97":  false, // lacks 97
		"85:100:85,90,95":  false, // lacks 85
		"0:0:":             false,
	} {
		if got := f.Admits(NewTicket(Label{Incarnation: one, Lower: parse(t, text)}, []Tag{1}, 0)); got != want {
			t.Errorf("label %s admitted: %v, want %v", text, got, want)
		}
	}
}

func TestEventRule(t *testing.T) {
	const mine, others = Tag(1), Tag(2)
	f := startedAt(100, Options{})
	f.Advance(&Head{one, parse(t, "102:106:102")}, []Event{{104, []Tag{mine}}, {105, []Tag{others}}}, 2)
	for _, c := range []struct {
		label string
		tags  []Tag
		want  bool
		why   string
	}{
		{"100:100:", []Tag{mine}, false, "104 is not visible"},
		{"100:104:", []Tag{mine}, false, "104 is the first that has not begun"},
		{"100:106:104", []Tag{mine}, false, "104 was running"},
		{"100:105:", []Tag{mine}, true, "104 is visible, 105 does not matter"},
		{"102:106:102", []Tag{mine}, true, "the head sees all"},
		{"100:100:", []Tag{others}, false, "105 is not visible"},
		{"100:106:104", []Tag{others}, true, "105 is visible, 104 does not matter"},
		{"100:100:", []Tag{3}, true, "no event of its tag"},
		{"100:100:", nil, true, "it depends on nothing"},
		{"100:105:", []Tag{3, mine, others}, false, "the last tag forbids it"},
		{"100:105:", []Tag{others, mine, 3}, false, "the first tag forbids it"},
	} {
		if got := f.Admits(NewTicket(Label{Incarnation: one, Lower: parse(t, c.label)}, c.tags, 0)); got != c.want {
			t.Errorf("label %s with tags %v admitted: %v, want %v: %s", c.label, c.tags, got, c.want, c.why)
		}
	}
}

func TestWholesaleTagForbidsEveryReaderThatCarriesIt(t *testing.T) {
	value, wholesale := NewTag(ValueText(7, "id", "1")), NewTag(WholesaleText(7))
	f := startedAt(100, Options{})
	precise := labelled(100, value, wholesale)
	if !f.Admits(precise) {
		t.Fatal("refused before any event")
	}
	f.Advance(headAt(101), []Event{{100, []Tag{NewTag(ValueText(7, "id", "2"))}}}, 2)
	if !f.Admits(precise) {
		t.Error("refused for another value")
	}
	f.Advance(headAt(102), []Event{{101, []Tag{NewTag(TableText(7)), wholesale}}}, 3)
	if f.Admits(precise) {
		t.Error("admitted after a wholesale change")
	}
}

func TestRefusalHoldsAndAdmissionEndsWithTheEvent(t *testing.T) {
	f := startedAt(100, Options{})
	ticket := labelled(100, 1, 2, 3)
	for range 3 { // slow once, then fast
		if !f.Admits(ticket) {
			t.Fatal("refused before any event")
		}
	}
	f.Advance(headAt(101), []Event{{100, []Tag{2}}}, 2)
	for range 3 {
		if f.Admits(ticket) {
			t.Fatal("admitted after the event")
		}
	}
	f.Advance(headAt(102), nil, 3)
	if f.Admits(ticket) {
		t.Error("admitted again by a look without events")
	}
}

func TestEventDeliveredTwiceChangesNothing(t *testing.T) {
	f := startedAt(100, Options{Slots: 1})
	for i := range 3 * recentMax {
		f.Advance(headAt(101), []Event{{100, []Tag{1}}}, Instant(i+2))
	}
	if f.slots[0].floor != nil || len(f.slots[0].recent) != 1 {
		t.Errorf("one event repeated filled the slot: %d kept", len(f.slots[0].recent))
	}
	if f.Admits(labelled(100, 1)) || !f.Admits(labelled(101, 1)) || !f.Admits(labelled(100, 2)) {
		t.Error("the verdicts changed")
	}
}

func TestResetForgetsAndDistrusts(t *testing.T) {
	f := startedAt(100, Options{})
	old, current := labelled(100, 1), labelled(105, 1)
	if !f.Admits(old) || !f.Admits(current) {
		t.Fatal("refused before any event")
	}
	f.Advance(headAt(103), []Event{{102, []Tag{1}}}, 2)
	f.Reset(headAt(105), at(105), nil, 3)
	if f.Admits(old) {
		t.Error("a label older than the floor is admitted: its event was forgotten")
	}
	if !f.Admits(current) {
		t.Error("a label at the floor is refused")
	}
	if f.LookBegan() != 3 || !sameSnapshot(f.Head().Snapshot, at(105)) {
		t.Errorf("clock %d, head %v", f.LookBegan(), f.Head().Snapshot)
	}
}

func TestResetWithKnownEventsTrustsOlderLabels(t *testing.T) {
	f := New(Options{})
	f.Reset(headAt(110), at(100), []Event{{104, []Tag{1}}, {108, []Tag{2}}}, 1)
	for _, c := range []struct {
		label XID
		tag   Tag
		want  bool
	}{{99, 3, false}, {100, 3, true}, {100, 1, false}, {105, 1, true}, {105, 2, false}, {109, 2, true}} {
		if got := f.Admits(labelled(c.label, c.tag)); got != c.want {
			t.Errorf("label %d with tag %d admitted: %v, want %v", c.label, c.tag, got, c.want)
		}
	}
}

func TestResetWithSameKnowledgeKeepsEntries(t *testing.T) {
	f := startedAt(100, Options{})
	ticket := labelled(100, 1)
	f.Admits(ticket)
	generation := f.generation.Load()
	f.Reset(headAt(100), at(100), nil, 2)
	if f.generation.Load() == generation || ticket.generation.Load() != generation {
		t.Error("the reset did not end the shortcut")
	}
	if !f.Admits(ticket) || ticket.generation.Load() != f.generation.Load() {
		t.Error("the entry did not survive, or was not remembered")
	}
}

func TestIncarnationChangeDistrustsEveryOldEntry(t *testing.T) {
	f := startedAt(100, Options{})
	ticket := labelled(100, 1)
	if !f.Admits(ticket) {
		t.Fatal("refused")
	}
	// After a crash the ids go back: the old label seems to see the new floor.
	f.Reset(&Head{"two", at(98)}, at(98), nil, 2)
	if f.Admits(ticket) {
		t.Error("an entry of another incarnation is admitted")
	}
}

func TestFresh(t *testing.T) {
	f := startedAt(100, Options{})
	f.Advance(headAt(100), nil, 1000)
	for now, want := range map[Instant]bool{999: true, 1000: true, 1050: true, 1051: false, 9000: false} {
		if got := f.Fresh(now, 50); got != want {
			t.Errorf("at %d: %v, want %v", now, got, want)
		}
	}
}

func TestSettled(t *testing.T) {
	f := New(Options{})
	f.Reset(&Head{one, parse(t, "90:105:90")}, at(90), nil, 1)
	for _, c := range []struct {
		label Label
		want  bool
	}{
		{Label{Incarnation: one, Lower: at(90), Upper: parse(t, "90:105:90")}, true},
		{Label{Incarnation: one, Lower: at(90), Upper: parse(t, "90:104:90")}, true},
		{Label{Incarnation: one, Lower: at(90), Upper: parse(t, "91:105:")}, false},
		{Label{Incarnation: one, Lower: at(90), Upper: parse(t, "90:106:90")}, false},
		{Label{Incarnation: one, Lower: at(90), Upper: Snapshot{}}, false},
		{Label{Incarnation: "two", Lower: at(90), Upper: parse(t, "90:104:90")}, false},
	} {
		if got := f.Settled(c.label); got != c.want {
			t.Errorf("%+v settled: %v, want %v", c.label, got, c.want)
		}
	}
}

func TestTicketParts(t *testing.T) {
	label := Label{Incarnation: one, Lower: at(3), Upper: at(5)}
	ticket := NewTicket(label, []Tag{1, 2}, 7)
	if !sameLabel(ticket.Label(), label) || !slices.Equal(ticket.Tags(), []Tag{1, 2}) || ticket.Loaded() != 7 {
		t.Errorf("got %+v, %v, %d", ticket.Label(), ticket.Tags(), ticket.Loaded())
	}
}

func TestSlotsAreRoundedUp(t *testing.T) {
	for asked, want := range map[int]int{0: slotsDefault, -1: 1, 1: 1, 2: 2, 3: 4, 64: 64, 65: 128} {
		f := New(Options{Slots: asked})
		if len(f.slots) != want || len(f.cells) != want || f.mask != uint64(want-1) {
			t.Errorf("%d slots asked: got %d, mask %x", asked, len(f.slots), f.mask)
		}
	}
}

func TestAdmitsDoesNotAllocate(t *testing.T) {
	f := startedAt(100, Options{})
	for _, tags := range []int{0, 1, 3, 8} {
		ticket := labelled(100, manyTags(tags)...)
		if n := testing.AllocsPerRun(1000, func() { f.Admits(ticket) }); n != 0 {
			t.Errorf("%d tags: %v allocations on the fast path", tags, n)
		}
		if n := testing.AllocsPerRun(1000, func() { admitAfresh(f, ticket) }); n != 0 {
			t.Errorf("%d tags: %v allocations on the slow path", tags, n)
		}
	}
}

func manyTags(n int) []Tag {
	tags := make([]Tag, n)
	for i := range tags {
		tags[i] = NewTag(fmt.Sprint(i))
	}
	return tags
}

// admitAfresh forgets the shortcut first, so that the slow check decides.
func admitAfresh(f *Fence, ticket *Ticket) bool {
	ticket.generation.Store(0)
	return f.Admits(ticket)
}

func BenchmarkAdmits(b *testing.B) {
	for _, tags := range []int{1, 3, 8} {
		b.Run(fmt.Sprintf("fast/tags=%d", tags), func(b *testing.B) {
			f, ticket := startedAt(100, Options{}), labelled(100, manyTags(tags)...)
			b.ReportAllocs()
			for b.Loop() {
				if !f.Admits(ticket) {
					b.Fatal("refused")
				}
			}
		})
	}
	for _, events := range []int{0, recentMax} {
		b.Run(fmt.Sprintf("slow/tags=3/events=%d", events), func(b *testing.B) {
			f, tags := startedAt(100, Options{}), manyTags(3)
			for i := range events {
				f.Advance(headAt(XID(101+i)), []Event{{XID(100 + i), tags}}, Instant(i))
			}
			ticket := labelled(XID(100+events), tags...)
			b.ReportAllocs()
			for b.Loop() {
				if !admitAfresh(f, ticket) {
					b.Fatal("refused")
				}
			}
		})
	}
	b.Run("fast/tags=3/parallel", func(b *testing.B) {
		f, ticket := startedAt(100, Options{}), labelled(100, manyTags(3)...)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !f.Admits(ticket) {
					b.Error("refused")
				}
			}
		})
	})
}
