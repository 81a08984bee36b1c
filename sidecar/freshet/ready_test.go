package main

import (
	"testing"
	"time"
)

// What a service manager shows follows each change, and is not told each second how late a sidecar
// is that stays late.
func TestWorthTelling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		told, state string
		ago         time.Duration
		want        bool
	}{
		{"ready", "ready", time.Hour, false},
		{"ready", "ready, but: Degraded: Redis refuses (NOAUTH)", 0, true},
		{"ready, but: 2 of 40 tables are not watched", "ready, but: 3 of 40 tables are not watched", 0, true},
		{"ready", "not ready: late by 2 s", 0, true},
		{"not ready: late by 2 s", "ready", 0, true},
		{"not ready: late by 2 s", "not ready: late by 3 s", time.Second, false},
		{"not ready: late by 2 s", "not ready: late by 32 s", stateAnewMin, true},
	} {
		if got := worthTelling(c.told, c.state, c.ago); got != c.want {
			t.Errorf("%s, told %v after %s: %v, want %v", c.state, c.ago, c.told, got, c.want)
		}
	}
}
