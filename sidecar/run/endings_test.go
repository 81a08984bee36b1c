package run

import (
	"testing"
	"time"
)

// Of each shape the latest endings are kept, those of one kind within a second as one, and of no
// more than so many shapes.
func TestEndingsAreBounded(t *testing.T) {
	t.Parallel()
	var e endings
	at := time.Unix(1_800_000_000, 0)
	for i := range 3 * endingsMax {
		for range 5 {
			e.note(7, "row", 16384, at.Add(time.Duration(i)*time.Second))
		}
		e.note(7, "schema", 0, at.Add(time.Duration(i)*time.Second))
	}
	got := e.latest([]uint64{7, 8})
	if len(got) != endingsMax || len(e.of[7]) != endingsMax {
		t.Fatalf("%d told, %d kept", len(got), len(e.of[7]))
	}
	newest := at.Add((3*endingsMax - 1) * time.Second)
	for i, want := range []ending{{newest, "row", 16384, 5}, {newest, "schema", 0, 1}} {
		if got[i] != want {
			t.Errorf("%d: %+v, want %+v", i, got[i], want)
		}
	}
	for shape := range uint64(2 * endingsShapesMax) {
		e.note(100+shape, "table", 1, newest.Add(time.Duration(shape)*time.Second))
	}
	if len(e.of) != endingsShapesMax || len(e.latest([]uint64{7})) != 0 || len(e.latest([]uint64{100 + 2*endingsShapesMax - 1})) != 1 {
		t.Errorf("of %d shapes some are kept", len(e.of))
	}
}
