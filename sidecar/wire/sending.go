package wire

// sending is a session that can have Postgres do what the client asks: it sends a unit, and before
// it what Postgres has to have for it, the BEGIN that was held back, portals and statements that
// were answered here. It does not decide whether to.
//
//   - What changes something is sent behind everything that was held back.
//   - Nothing runs outside of the client's transaction that belongs to it (see opening.go).
type sending struct {
	asking
	// plan is that of the unit at hand.
	plan plan
	// room is for what is made of the plan's values. judge and understood empty it.
	room room
	// portals are the client's that Postgres has not.
	portals portals
	// ahead is what was answered of a group whose Sync has not come.
	ahead ahead
	// openers is room for the statements that begin a block, of openAlong.
	openers []string
	// opening is set when the BEGIN of a block was sent together with a statement,
	// and may not have succeeded yet.
	opening bool
}
