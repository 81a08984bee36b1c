package shapes

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
)

// Effect is what a statement may write: rows that entries with one of these
// tags depend on. A nil Effect is not known, and may be anything.
type Effect struct {
	Tags []fence.Tag
	// AnyRows is set if it may be rows of any table.
	AnyRows bool
	// Analysed is set if this is known by an analysis, of that generation of the schema.
	Analysed   bool
	Generation uint64
}

// NoEffect is that of what writes nothing.
var NoEffect = &Effect{}

// effectOf is what a statement with this verdict, of a generation, may write. An
// entry that depends on rows of a table has one of two tags of it, whichever rows they are.
// Where row security does not apply to a reader, a plan of before may apply it.
func effectOf(v *analysis.Verdict, generation uint64) *Effect {
	switch {
	case v.Cacheable && len(v.Exempt) > 0, !v.Cacheable && v.Effect == nil:
		return nil
	case v.Cacheable:
		return &Effect{Analysed: true, Generation: generation}
	}
	e := &Effect{Analysed: true, Generation: generation}
	for _, root := range v.Effect.Roots {
		e.Tags = append(e.Tags, fence.NewTag(fence.TableText(root)), fence.NewTag(fence.WholesaleText(root)))
	}
	return e
}
