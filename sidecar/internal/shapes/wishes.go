package shapes

import "sync/atomic"

// MissesPerWish is how many misses of one shape, with a tag of a whole table that a
// watched column would make precise, it takes to ask for that column. A shape
// that is seen less costs less than the change of the triggers.
const MissesPerWish = 100

// wishes counts the loads that a watched column could have spared.
type wishes struct{ misses atomic.Uint64 }

// missed counts one, and reports whether to ask now: once in MissesPerWish, as asking
// promises nothing.
func (w *wishes) missed() bool { return w.misses.Add(1)%MissesPerWish == 0 }
