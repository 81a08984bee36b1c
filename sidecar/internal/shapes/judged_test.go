package shapes

import (
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
)

// A statement remembers a verdict under the state and the schema that it holds for, and
// nothing that may still become known.
func TestStatementRemembersItsVerdict(t *testing.T) {
	inBook(t, refused, func(t *testing.T, b *Book, a *scripted) {
		const sql = "SELECT a FROM t WHERE b = 5"
		var j Judged
		recall := func() *analysis.Verdict {
			_, verdict := b.Recall(&j, state, sql, nil)
			return verdict
		}
		if recall() != nil || j.verdict != nil || j.Literals() != nil {
			t.Errorf("of an unknown shape %+v is remembered", j)
		}
		slot, verdict, literals := b.Find(t.Context(), state, sql, nil)
		if recall() != verdict || j.slot != slot || len(j.Literals()) != len(literals) {
			t.Errorf("remembered is %+v, of %+v", j, slot)
		}
		if _, other := b.Recall(&j, otherState, sql, nil); other != nil || j.verdict != nil {
			t.Errorf("under another state %+v is remembered", j)
		}
		recall()
		b.SchemaChanged()
		if recall() != nil || j.verdict != nil {
			t.Errorf("of another schema %+v is remembered", j)
		}
	})
}
