package fence

import (
	"sync"
	"testing"
)

func TestSessionNeedsTheLatestOfWhatItReceived(t *testing.T) {
	var s Session
	if s.Need() != 0 {
		t.Errorf("a new session needs %d", s.Need())
	}
	for _, c := range []struct{ received, need Instant }{{5, 5}, {3, 5}, {5, 5}, {9, 9}, {-1, 9}} {
		s.Received(c.received)
		if s.Need() != c.need {
			t.Errorf("after %d it needs %d, want %d", c.received, s.Need(), c.need)
		}
	}
}

func TestSessionReceivedConcurrently(t *testing.T) {
	const goroutines, each = 8, 2000
	var s Session
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				at := Instant(i*goroutines + g)
				s.Received(at)
				if s.Need() < at {
					t.Errorf("received %d and needs only %d", at, s.Need())
				}
			}
		})
	}
	all.Wait()
	if s.Need() != goroutines*each-1 {
		t.Errorf("needs %d, want %d", s.Need(), goroutines*each-1)
	}
}
