package probe

import "testing"

// What is known for certain has a state, in whatever order things are noted.
func TestWhatHoldsHasAState(t *testing.T) {
	t.Parallel()
	found := &State{}
	for _, c := range []struct {
		name  string
		notes func(*Known)
		holds bool
	}{
		{"nothing yet", func(*Known) {}, false},
		{"nothing has changed, and nothing was found", func(k *Known) { k.NoteChanged(false) }, false},
		{"found", func(k *Known) { k.Note(found) }, true},
		{"found, and nothing has changed", func(k *Known) { k.Note(found); k.NoteChanged(false) }, true},
		{"found, then something has changed", func(k *Known) { k.Note(found); k.NoteChanged(true) }, false},
		{"found again", func(k *Known) { k.Note(found); k.NoteChanged(true); k.Note(found) }, true},
		{"nothing was found", func(k *Known) { k.Note(nil); k.NoteChanged(false) }, false},
	} {
		var k Known
		c.notes(&k)
		if k.Holds() != c.holds {
			t.Errorf("%s: holds %v", c.name, k.Holds())
		}
	}
}
