package wire

import (
	"bytes"
	"slices"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/verify"
)

// Of a hit that is to be verified, everything is copied here that the session changes
// later: once in a thousand hits, and a few times in a second at most.

// offerQuery offers a simple Query that was answered with an entry.
func (s *session) offerQuery(entry *engine.Entry) {
	if s.countsDown() && !entry.Payload.(*answer.Answer).Consented && !s.plan.keyed() {
		s.offer(&verify.Hit{Entry: entry, SQL: string(answer.TextOfQuery(entry.Key))})
	}
}

// offerGroup offers the first result of a group that was answered.
func (s *session) offerGroup() {
	if !s.countsDown() || s.plan.keyed() {
		return
	}
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		if w.describes || w.limit != 0 || w.entry.Payload.(*answer.Answer).Consented {
			continue
		}
		statement := w.prepared.Statement
		s.offer(&verify.Hit{Entry: w.entry, SQL: statement.SQL, ParamTypes: statement.ParamTypes, Bound: bytes.Clone(w.bound)})
		return
	}
}

// keyed reports whether an answer depends on settings of the application's own, which who
// verifies has not set.
func (p *plan) keyed() bool {
	return slices.ContainsFunc(p.wants, func(w want) bool { return w.settled })
}

// countsDown begins the next countdown, and reports whether a hit is to be verified now.
func (s *session) countsDown() bool {
	s.untilVerified = s.server.verifier.Countdown()
	return s.server.verifier.Wants()
}

// offer adds what is known of a hit's statement, and hands it over.
func (s *session) offer(h *verify.Hit) {
	h.State = s.state()
	if slot, verdict, _ := s.server.verdicts.Known(h.State, h.SQL, h.ParamTypes); verdict != nil {
		h.Shape, h.Tables, h.Roots, h.Determined = slot.Text(), verdict.Tables, verdict.Relations, verdict.Determined
	}
	s.server.verifier.Offer(h)
}
