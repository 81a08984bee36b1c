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

// countdown is how many hits there are to the next that is to be verified.
type countdown int64

// passed counts hits, and reports whether one of them is to be verified. Then the next countdown
// begins.
func (c *countdown) passed(n int, v *verify.Verifier) bool {
	if *c -= countdown(n); *c > 0 {
		return false
	}
	*c = countdown(v.Countdown())
	return v.Wants()
}

// offerQuery offers a simple Query that was answered with an entry.
func (u *understanding) offerQuery(p *plan, entry *engine.Entry) {
	if !entry.Payload.(*answer.Answer).Consented && !p.keyed() {
		u.offer(&verify.Hit{Entry: entry, SQL: string(answer.TextOfQuery(entry.Key))})
	}
}

// offerGroup offers the first result of a group that was answered.
func (u *understanding) offerGroup(p *plan) {
	if p.keyed() {
		return
	}
	for i := range p.wants {
		w := &p.wants[i]
		if w.describes || w.limit != 0 || w.entry.Payload.(*answer.Answer).Consented {
			continue
		}
		statement := w.prepared.Statement
		u.offer(&verify.Hit{Entry: w.entry, SQL: statement.SQL, ParamTypes: statement.ParamTypes, Bound: bytes.Clone(w.bound)})
		return
	}
}

// keyed reports whether an answer depends on settings of the application's own, which who
// verifies has not set.
func (p *plan) keyed() bool {
	return slices.ContainsFunc(p.wants, func(w want) bool { return w.settled })
}

// offer adds what is known of a hit's statement, and hands it over.
func (u *understanding) offer(h *verify.Hit) {
	h.State = u.state()
	if slot, verdict, _ := u.db.verdicts.Known(h.State, h.SQL, h.ParamTypes); verdict != nil {
		h.Shape, h.Tables, h.Roots, h.Determined = slot.Text(), verdict.Tables, verdict.Relations, verdict.Determined
	}
	u.db.verifier.Offer(h)
}
