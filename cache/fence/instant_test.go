package fence

import (
	"testing"
	"time"
)

func TestInstants(t *testing.T) {
	before := Now()
	after := Now()
	if before <= 0 || after < before {
		t.Errorf("the clock went from %d to %d", before, after)
	}
	later := before.Add(3 * time.Second)
	if later.Sub(before) != 3*time.Second || before.Sub(later) != -3*time.Second {
		t.Errorf("3 s later is %v later", later.Sub(before))
	}
}
