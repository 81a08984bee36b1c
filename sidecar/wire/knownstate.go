package wire

// knownState is what is known of a session's settings: the last state that a probe
// found, and whether that still holds. No state holds before the first probe. It
// belongs to the downstream goroutine.
type knownState struct {
	// state is what the last probe found that was understood; nil before the first.
	// While it does not hold, it is an estimate.
	state *sessionState
	// unchanged is set while nothing can have changed the settings since that probe. Alone
	// it says nothing: see stateHolds.
	unchanged bool
}

// stateHolds reports whether the session's state is known for certain: then there is one.
func (k *knownState) stateHolds() bool { return k.state != nil && k.unchanged }

// noteState takes over what a probe found, with nothing owed.
func (k *knownState) noteState(found *sessionState) { k.state, k.unchanged = found, true }

// noteChanged notes whether something may have changed the settings since the last
// probe.
func (k *knownState) noteChanged(changed bool) { k.unchanged = !changed }
