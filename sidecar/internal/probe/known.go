package probe

// Known is what is known of a session's settings: the last state that a probe found, whether
// that still holds, and what a transaction has made of it. No state holds before the first
// probe.
type Known struct {
	// base is what the last probe found that was understood; nil before the first.
	base *State
	// unchanged is set while nothing can have changed the settings since that probe. Alone
	// it says nothing: see Holds.
	unchanged bool
	// local is the state in the client's transaction, while settings hold in it that answers
	// depend on and that are known; nil otherwise. lacking is set while there are such
	// settings, and not known what they come to. NoteLocal sets both.
	local   *State
	lacking bool
}

// State returns the state that the client's next statement runs in, nil before the first
// probe. While it does not hold, it is an estimate.
func (k *Known) State() *State {
	if k.local != nil {
		return k.local
	}
	return k.base
}

// Base returns what the last probe found, nil before the first: the state outside of a
// transaction.
func (k *Known) Base() *State { return k.base }

// Holds reports whether the session's state is known for certain: then there is one.
func (k *Known) Holds() bool { return k.BaseHolds() && !k.lacking }

// BaseHolds reports whether the state outside of a transaction is known for certain.
func (k *Known) BaseHolds() bool { return k.base != nil && k.unchanged }

// Lacks reports whether a transaction has settings of which is not known what they come to.
func (k *Known) Lacks() bool { return k.lacking }

// Local reports whether a transaction has settings that answers depend on.
func (k *Known) Local() bool { return k.State() != k.base || k.lacking }

// Note takes over what a probe found, with nothing owed. What was known of a transaction's
// settings rested on the one before.
func (k *Known) Note(found *State) {
	k.base, k.unchanged = found, true
	k.local, k.lacking = nil, k.Local()
}

// NoteLocal notes the state in the client's transaction: nil if it is not known.
func (k *Known) NoteLocal(state *State) { k.local, k.lacking = state, state == nil }

// EndLocal notes that no settings of a transaction hold any more.
func (k *Known) EndLocal() { k.local, k.lacking = nil, false }

// NoteChanged notes whether something may have changed the settings since the last
// probe.
func (k *Known) NoteChanged(changed bool) { k.unchanged = !changed }
