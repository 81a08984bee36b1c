package servers

import "time"

// EventuallyMax bounds what a test waits for: nothing takes nearly as long, also on a
// machine that is busy with something else.
const EventuallyMax = time.Minute

// Conditions are asked for again after eventuallyPauseMin, or after a sixteenth of what was
// waited, if that is longer: most hold at once, and to ask for those that take seconds costs a
// server more than all else in a test.
const (
	eventuallyPauseMin = 2 * time.Millisecond
	eventuallyPauses   = 16
)

// Eventually waits until a condition holds that another goroutine or process brings
// about, and fails the test, naming what, if it does not.
func Eventually(t TB, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		waited := time.Since(began)
		if waited > EventuallyMax {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(max(eventuallyPauseMin, waited/eventuallyPauses))
	}
}
