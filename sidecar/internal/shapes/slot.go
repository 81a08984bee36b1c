package shapes

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// analysisWaitMax is Book.WaitMax, unless a test changes that.
const analysisWaitMax = 500 * time.Millisecond

// Slot is the place of one verdict: of one shape under one state.
type Slot struct {
	// Shape is the same for all statements of this slot, in this process. It is never 0.
	Shape uint64
	// Generation counts the schema changes noticed before the slot was made.
	Generation uint64
	// Loading is how long Postgres takes to answer.
	Loading Average
	// Lookups says whether the rows joined to are worth asking for.
	Lookups Lookups
	// User is the name of the role whose statements these are.
	User string
	// Passed counts those that went to Postgres for a reason, and PassedFor is what it took for
	// them, in nanoseconds. Sessions add to both.
	Passed    atomic.Uint64
	PassedFor atomic.Int64

	request analysis.Request
	// done is closed when verdict is set; nil means that the analysis failed, at
	// failed.
	done    chan struct{}
	verdict *analysis.Verdict
	// effect is what the statements may write, nil if it may be anything. It is set with
	// verdict.
	effect *Effect
	failed time.Time
	wishes wishes
	// terms are those that the rules asked last put on the shape.
	terms atomic.Pointer[rules.Judged]
}

// ready returns the verdict if it is known. pending is false if it will not
// come.
func (s *Slot) ready() (v *analysis.Verdict, pending bool) {
	select {
	case <-s.done:
		return s.verdict, false
	default:
		return nil, true
	}
}

// Verdict returns the verdict, nil while it is not known, or if the analysis failed.
func (s *Slot) Verdict() *analysis.Verdict {
	v, _ := s.ready()
	return v
}

// Effect returns what a statement of the shape may write, nil while that is not known, or if
// it may be anything.
func (s *Slot) Effect() *Effect {
	if s.Pending() {
		return nil
	}
	return s.effect
}

// SQL is the text that is analysed for all statements of the shape.
func (s *Slot) SQL() string { return s.request.SQL }

// Pending reports whether the verdict may still come.
func (s *Slot) Pending() bool {
	_, pending := s.ready()
	return pending
}

// wait is Verdict after at most waitMax.
func (s *Slot) wait(ctx context.Context, waitMax time.Duration) *analysis.Verdict {
	if v, pending := s.ready(); !pending {
		return v
	}
	timer := time.NewTimer(waitMax)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.verdict
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// Missed counts a load by this verdict, and returns the columns that are to be asked for
// now, because watching them would have spared many.
func (s *Slot) Missed() []analysis.Wish {
	v := s.Verdict()
	if v == nil || len(v.Wishes) == 0 || !s.wishes.missed() {
		return nil
	}
	return v.Wishes
}

// Terms are those that rules put on the statements of the shape, whose verdict is known.
func (s *Slot) Terms(set *rules.Set) *rules.Judged {
	terms := s.terms.Load()
	if !terms.Of(set) {
		terms = set.For(s.Text(), tablesOf(s.Verdict()))
		s.terms.Store(terms)
	}
	return terms
}

// tablesOf are the tables that the statements of a verdict read, also where that is allowed by
// consent alone.
func tablesOf(v *analysis.Verdict) []string {
	if v.Consent == nil {
		return v.Tables
	}
	return slices.Concat(v.Consent.Tables, v.Consent.Unwatched)
}

// Text is the shape's text without a value in it: literals that cannot be told
// apart from the rest have the whole text left out.
func (s *Slot) Text() string {
	return WithoutValues(s.request.SQL, s.request.Settings["standard_conforming_strings"] != "off")
}

// WithoutValues is a statement as Text shows it.
func WithoutValues(sql string, standardConforming bool) string {
	template, ok := analysis.NewTemplate(sql, standardConforming)
	if !ok {
		return "(a statement with literals that are not taken apart)"
	}
	return template.Text()
}
