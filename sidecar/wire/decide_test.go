package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// A simple Query is a plan with one want, whatever was planned before it.
func TestQueryIsAPlanWithOneWant(t *testing.T) {
	t.Parallel()
	var s session
	for _, test := range []struct {
		text       string
		wellFormed bool
		groupOpen  bool
		want       string
	}{
		{"SELECT 1", true, false, ""},
		{"SELECT 2", false, false, reasons.Malformed},
		{"SELECT 3", true, true, reasons.OpenGroup},
		{"SELECT 4", true, false, ""},
	} {
		s.talk = conversation.New()
		if test.groupOpen {
			s.talk.LeaveOpen(true)
		}
		s.planQuery([]byte(test.text), test.wellFormed)
		p := &s.plan
		if p.reason != test.want || !p.simple || p.executions != 1 || p.runsNothing() {
			t.Errorf("%s: the plan is refused for %q, want %q; it is %+v", test.text, p.reason, test.want, p)
		}
		if len(p.wants) != 1 || len(p.requests) != 0 || string(p.wants[0].bound) != test.text || p.wants[0].prepared.Statement.SQL != test.text {
			t.Errorf("%s: the plan wants %+v", test.text, p.wants)
		}
		p.wants[0].prepared.Statement.Refuse(digest.Digest{}, 0, reasons.Malformed) // is not to be the next one's
		p.requests = append(p.requests, request{})
		if test.text != "SELECT 4" {
			continue
		}
		if s.planQuery(nil, true); s.plan.query.Statement.Refused(digest.Digest{}, 0) != "" {
			t.Error("a Query is refused for another one's reason")
		}
	}
}

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
