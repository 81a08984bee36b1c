package shapes

import (
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
)

// decided is the slot of a verdict.
func decided(v *analysis.Verdict) *Slot {
	s := &Slot{verdict: v, done: make(chan struct{})}
	close(s.done)
	return s
}

// Columns are asked for once in so many misses: asking promises nothing.
func TestMissesWish(t *testing.T) {
	t.Parallel()
	s := decided(&analysis.Verdict{Cacheable: true, Wishes: []analysis.Wish{{Root: 7, Column: "a"}}})
	for round := range 2 {
		for miss := 1; miss <= MissesPerWish; miss++ {
			if wishes := s.Missed(); (len(wishes) == 1) != (miss == MissesPerWish) {
				t.Errorf("round %d, miss %d: it wishes for %v", round, miss, wishes)
			}
		}
	}
	for name, s := range map[string]*Slot{"no wish": decided(&analysis.Verdict{Cacheable: true}), "a failure": decided(nil), "nothing yet": {done: make(chan struct{})}} {
		for range 2 * MissesPerWish {
			if wishes := s.Missed(); wishes != nil {
				t.Fatalf("%s: it wishes for %v", name, wishes)
			}
		}
	}
}

// Who reads the page of shapes is shown no value.
func TestTextsHaveNoValues(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT a FROM t WHERE b = 'secret' AND c = 12": "SELECT a FROM t WHERE b = ? AND c = ?",
		"SELECT a FROM t WHERE b = $1":                  "SELECT a FROM t WHERE b = $1",
		"SELECT a FROM t WHERE b = 'no end":             "(a statement with literals that are not taken apart)",
	} {
		s := Slot{request: analysis.Request{SQL: sql}}
		if got := s.Text(); got != want {
			t.Errorf("%s is %q, want %q", sql, got, want)
		}
	}
}
