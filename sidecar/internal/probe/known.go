package probe

// Known is what is known of a session's settings: the last state that a probe found, and
// whether that still holds. No state holds before the first probe.
type Known struct {
	// state is what the last probe found that was understood; nil before the first.
	state *State
	// unchanged is set while nothing can have changed the settings since that probe. Alone
	// it says nothing: see Holds.
	unchanged bool
}

// State returns what the last probe found, nil before the first. While it does not hold,
// it is an estimate.
func (k *Known) State() *State { return k.state }

// Holds reports whether the session's state is known for certain: then there is one.
func (k *Known) Holds() bool { return k.state != nil && k.unchanged }

// Note takes over what a probe found, with nothing owed.
func (k *Known) Note(found *State) { k.state, k.unchanged = found, true }

// NoteChanged notes whether something may have changed the settings since the last
// probe.
func (k *Known) NoteChanged(changed bool) { k.unchanged = !changed }
