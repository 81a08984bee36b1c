package fence

import "testing"

// Ended tells by which tag, says nothing of what is foretold, and makes nothing known to be in
// use: who counts must not have others look.
func TestEndedTellsWhatMoved(t *testing.T) {
	t.Parallel()
	tag, other := NewTag("7/id=1"), NewTag("7/*")
	head := func(next XID) *Head {
		s, err := NewSnapshot(next, next, nil)
		if err != nil {
			t.Fatal(err)
		}
		return &Head{Incarnation: "first", Snapshot: s}
	}
	f := New(Options{Slots: 64})
	first := head(100)
	ticket := NewTicket(LabelAt(first), []Tag{other, tag}, 1)
	if _, ended := f.Ended(ticket); ended {
		t.Error("ended before anything is known")
	}
	f.Reset(first, first.Snapshot, nil, 1)
	moves := f.Moves(ticket)
	if moved, ended := f.Ended(ticket); ended {
		t.Errorf("ended by %v, and nothing moved", moved)
	}
	if f.slots[uint64(tag)&f.mask].used {
		t.Error("to ask has made it in use")
	}
	f.Advance(head(101), []Event{{XID: 100, Tags: []Tag{tag}}}, 2)
	if moved, ended := f.Ended(ticket); !ended || moved != tag || f.Moves(ticket) == moves {
		t.Errorf("%v, %v after its tag has moved", moved, ended)
	}
	last := head(102)
	f.Reset(last, last.Snapshot, nil, 3)
	if moved, ended := f.Ended(ticket); !ended || moved != 0 {
		t.Errorf("%v, %v after all was thrown away", moved, ended)
	}
}
