package invalidation

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// An error that goes on is said once a minute, and another at once.
func TestComplaintsAreNotRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c complaint
		said := 0
		for range 240 { // two minutes
			if c.isNew(errors.New("nothing is installed")) {
				said++
			}
			time.Sleep(500 * time.Millisecond)
		}
		if said != 2 {
			t.Errorf("said %d times in two minutes", said)
		}
		if !c.isNew(errors.New("no such role")) || !c.isNew(errors.New("nothing is installed")) {
			t.Error("an error is not said that is not the last one")
		}
	})
}
