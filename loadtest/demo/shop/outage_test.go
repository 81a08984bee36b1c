package shop

import (
	"testing"
	"time"
)

// Only what an outage explains is excused: what fails during it, and what fails later on a
// connection from before its end.
func TestOutageExcusesWhatItExplains(t *testing.T) {
	t.Parallel()
	var o outage
	before := time.Now()
	if o.excuses(before) {
		t.Error("an error before any outage is excused")
	}
	o.begin()
	if !o.excuses(time.Now()) {
		t.Error("an error during an outage is held against the sidecar")
	}
	attempted := time.Now()
	o.end()
	if !o.excuses(attempted) {
		t.Error("an attempt that was made during an outage and failed after it is held against the sidecar")
	}
	if !o.excuses(before) {
		t.Error("a connection that an outage has broken is held against the sidecar")
	}
	if o.excuses(o.backAt) {
		t.Error("an error after an outage is excused")
	}
	if o.lostSoFar() != 3 {
		t.Errorf("%d were lost", o.lostSoFar())
	}
}
