package world

import (
	"testing"
	"time"
)

// patience bounds every wait for what must happen, on a busy machine too.
const patience = time.Minute

// Until waits for a condition that another goroutine or process brings about.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
