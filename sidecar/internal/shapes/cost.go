package shapes

import (
	"sync/atomic"
	"time"
)

// Average is a moving average of durations: each one counts for an eighth of it. The zero
// value has none. It may be used by any number of goroutines; a race loses one duration.
type Average struct{ d atomic.Int64 }

// Note takes a duration into it.
func (a *Average) Note(d time.Duration) {
	old := a.Get()
	if old == 0 {
		a.Begin(d)
		return
	}
	a.Begin(old + (d-old)/8)
}

// Begin forgets what was noted before d.
func (a *Average) Begin(d time.Duration) { a.d.Store(int64(d)) }

// Get is 0 before the first.
func (a *Average) Get() time.Duration { return time.Duration(a.d.Load()) }
