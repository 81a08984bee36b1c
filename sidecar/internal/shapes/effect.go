package shapes

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
)

// Effect is what a statement may write: rows that entries with one of these
// tags depend on. A nil Effect is not known, and may be anything.
type Effect struct {
	Tags []fence.Tag
	// Classes are those of more tags, of which is not known which.
	Classes []fence.Class
	// AnyRows is set if it may be rows of any table.
	AnyRows bool
	// Analysed is set if this is known by an analysis, of that generation of the schema.
	Analysed   bool
	Generation uint64
}

// NoEffect is that of what writes nothing.
var NoEffect = &Effect{}

// effectOf is what a statement with this verdict, of a generation, may write, whatever its
// values. Where row security does not apply to a reader, a plan of before may apply it.
func effectOf(v *analysis.Verdict, generation uint64) *Effect {
	switch {
	case v.Cacheable && v.Secured(), !v.Cacheable && v.Effect == nil:
		return nil
	case v.Cacheable:
		return &Effect{Analysed: true, Generation: generation}
	}
	e := &Effect{Analysed: true, Generation: generation}
	for _, root := range v.Effect.Roots {
		e.addTable(root)
	}
	return e
}

// addTable adds all rows of a table. An entry that depends on some of them has one of two
// tags of it, whichever they are.
func (e *Effect) addTable(root uint32) {
	e.Tags = append(e.Tags, fence.NewTag(fence.TableText(root)), fence.NewTag(fence.WholesaleText(root)))
}

// TellsRows reports whether the values of an execution may tell which rows of a table it
// writes.
func (s *Slot) TellsRows() bool {
	v := s.Verdict()
	return v != nil && v.Effect != nil && v.Effect.Rows != nil
}

// EffectOf is Effect for one execution, with these values: only the rows that it writes,
// where they tell.
func (s *Slot) EffectOf(p analysis.Params) *Effect {
	e := s.Effect()
	if e == nil || !s.TellsRows() {
		return e
	}
	tags, classes, ok := s.verdict.Changes(p)
	if !ok {
		return e
	}
	precise := &Effect{Analysed: true, Generation: e.Generation}
	precise.Tags, precise.Classes = tags, classes
	for _, root := range s.verdict.Effect.Roots {
		if root != s.verdict.Effect.Rows.Root {
			precise.addTable(root)
		}
	}
	return precise
}
