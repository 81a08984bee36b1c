package wire

import "testing"

// The first question with a reason ends the list, and only what is known to be a read is
// said to change nothing.
func TestDecisionStopsAtTheFirstReason(t *testing.T) {
	t.Parallel()
	var d decision
	if d.stops("") || d.stopsIf(false, "no") || d.stopsReadIf(false, "no") || d.reason != "" || d.harmless {
		t.Errorf("questions without a reason stop: %+v", d)
	}
	if !d.stopsIf(true, "a write") || d.reason != "a write" || d.harmless {
		t.Errorf("a write is decided as %+v", d)
	}
	if !d.stopsReadIf(true, "a read") || d.reason != "a read" || !d.harmless {
		t.Errorf("a read is decided as %+v", d)
	}
}
