package servers

import "time"

// EventuallyMax bounds what a test waits for: nothing takes nearly as long, also on a
// machine that is busy with something else.
const EventuallyMax = time.Minute

// Eventually waits until a condition holds that another goroutine or process brings
// about, and fails the test, naming what, if it does not.
func Eventually(t TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(EventuallyMax); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
