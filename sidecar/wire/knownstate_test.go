package wire

import "testing"

// What is known for certain has a state, in whatever order things are noted.
func TestWhatHoldsHasAState(t *testing.T) {
	t.Parallel()
	found := &sessionState{}
	for _, c := range []struct {
		name  string
		notes func(*knownState)
		holds bool
	}{
		{"nothing yet", func(*knownState) {}, false},
		{"nothing has changed, and nothing was found", func(k *knownState) { k.noteChanged(false) }, false},
		{"found", func(k *knownState) { k.noteState(found) }, true},
		{"found, and nothing has changed", func(k *knownState) { k.noteState(found); k.noteChanged(false) }, true},
		{"found, then something has changed", func(k *knownState) { k.noteState(found); k.noteChanged(true) }, false},
		{"found again", func(k *knownState) { k.noteState(found); k.noteChanged(true); k.noteState(found) }, true},
		{"nothing was found", func(k *knownState) { k.noteState(nil); k.noteChanged(false) }, false},
	} {
		var k knownState
		c.notes(&k)
		if k.stateHolds() != c.holds {
			t.Errorf("%s: holds %v", c.name, k.stateHolds())
		}
	}
}
