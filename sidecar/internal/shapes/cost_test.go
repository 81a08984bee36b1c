package shapes

import (
	"testing"
	"time"
)

func TestAverage(t *testing.T) {
	t.Parallel()
	var a Average
	if a.Get() != 0 {
		t.Error("an average of nothing is not 0")
	}
	a.Note(time.Second)
	if a.Get() != time.Second {
		t.Errorf("the average of 1s alone is %v", a.Get())
	}
	for range 100 {
		a.Note(time.Millisecond)
	}
	if got := a.Get(); got < time.Millisecond || got > 2*time.Millisecond {
		t.Errorf("after many of 1ms it is %v", got)
	}
	if a.Begin(time.Hour); a.Get() != time.Hour {
		t.Errorf("begun anew with 1h it is %v", a.Get())
	}
}
