package invalidation

import (
	"testing"
	"time"
)

// A pace is what happened in the window before and in this one, each by its part of ten seconds.
func TestPace(t *testing.T) {
	t.Parallel()
	var p Pace
	at := time.Unix(1_800_000_000, 0)
	p.add(30, at.Add(time.Second))
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{2 * time.Second, 3}, {10 * time.Second, 3}, {15 * time.Second, 1.5}, {20 * time.Second, 0}, {time.Hour, 0}} {
		if got := p.PerSecond(at.Add(c.after)); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
	}
	p.add(10, at.Add(15*time.Second))
	if got := p.PerSecond(at.Add(15 * time.Second)); got != 2.5 {
		t.Errorf("%v, want 2.5", got)
	}
}
