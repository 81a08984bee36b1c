package invalidation

import (
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

func headAt(t *testing.T, xid fence.XID) *fence.Head {
	t.Helper()
	s, err := fence.NewSnapshot(xid, xid, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &fence.Head{Incarnation: "one", Snapshot: s}
}

func TestHeadsByPosition(t *testing.T) {
	t.Parallel()
	h := &heads{}
	want := func(position uint64, xid fence.XID) {
		t.Helper()
		head, token := h.at(position)
		if xid == 0 {
			if head != nil {
				t.Errorf("position %d: got %v, want none", position, head)
			}
			return
		}
		if head == nil || head.Snapshot.Xmax() != xid || token != "token" {
			t.Errorf("position %d: got %v of %q, want %d", position, head, token, xid)
		}
	}
	want(1000, 0)
	h.note(headAt(t, 10), 100, "token", true)
	h.note(headAt(t, 10), 150, "token", false) // nothing new: 100 is enough
	h.note(headAt(t, 11), 200, "token", false)
	h.note(headAt(t, 12), 200, "token", false)
	want(99, 0)
	want(100, 10)
	want(199, 10)
	want(200, 12)
	want(1000, 12)
	h.note(headAt(t, 20), 300, "token", true)
	want(299, 0) // the fence trusts nothing older
	want(300, 20)
}

func TestHeadsAreBounded(t *testing.T) {
	t.Parallel()
	h := &heads{}
	const noted = 5 * headsMax
	for i := range uint64(noted) {
		h.note(headAt(t, fence.XID(10+i)), 100+i, "token", i == 0)
		if len(h.items) > headsMax {
			t.Fatalf("%d heads after %d", len(h.items), i+1)
		}
		if head, _ := h.at(100 + i); head.Snapshot.Xmax() != fence.XID(10+i) {
			t.Fatalf("the newest head is %v", head)
		}
	}
	for i := range uint64(noted) {
		if head, _ := h.at(100 + i); head == nil || head.Snapshot.Xmax() > fence.XID(10+i) {
			t.Fatalf("position %d: got %v", 100+i, head)
		}
	}
}
