package shapes

import (
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
)

// Judged is what a statement remembers of its verdict, under one state and until the schema
// changes, so that the book is not asked at each use. It belongs to one session. The zero
// value remembers nothing.
type Judged struct {
	state    digest.Digest
	slot     *Slot
	verdict  *analysis.Verdict
	literals []analysis.Literal
}

// Literals are those to fill the tags of the remembered verdict with.
func (j *Judged) Literals() []analysis.Literal { return j.literals }

// Slot is the remembered one, nil if there is none.
func (j *Judged) Slot() *Slot { return j.slot }

// holds reports whether what is remembered is what the book says now.
func (j *Judged) holds(b *Book, state *probe.State) bool {
	return j.verdict != nil && j.state == state.ID && b.Current(j.slot)
}

// Recall is Known for a statement that remembers the answer, if there is a verdict.
func (b *Book) Recall(j *Judged, state *probe.State, sql string, paramTypes []uint32) (slot *Slot, verdict *analysis.Verdict) {
	if j.holds(b, state) {
		return j.slot, j.verdict
	}
	slot, verdict, literals := b.Known(state, sql, paramTypes)
	*j = Judged{}
	if verdict != nil {
		*j = Judged{state.ID, slot, verdict, literals}
	}
	return slot, verdict
}
