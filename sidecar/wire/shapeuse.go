package wire

import (
	"cmp"
	"slices"
	"strings"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// examplesMax is how many statements stand for a reason.
const examplesMax = 3

// ShapeUse says what became of the statements of one shape.
type ShapeUse struct {
	// Statement is the shape: a text with a ? for each literal.
	Statement string
	// Tables are what it reads.
	Tables []string
	engine.Use
}

// ShapeUses returns the shapes that are cached and of which most was saved or loaded, max
// at most, and how many there are.
func (s *Server) ShapeUses(max int) (uses []ShapeUse, all int) {
	time := func(slot *shapes.Slot) int64 {
		u := s.cache.Use(slot.Shape)
		return int64(u.Saved + u.Loading)
	}
	slots := slices.DeleteFunc(s.verdicts.All(), func(slot *shapes.Slot) bool {
		v := slot.Verdict()
		return v == nil || !v.Cacheable || time(slot) == 0
	})
	slices.SortFunc(slots, func(a, b *shapes.Slot) int { return cmp.Compare(time(b), time(a)) })
	for _, slot := range slots[:min(len(slots), max)] {
		uses = append(uses, ShapeUse{slot.Text(), slot.Verdict().Tables, s.cache.Use(slot.Shape)})
	}
	return uses, len(slots)
}

// UnwatchedTables counts, by name, the shapes that are not cached because they read a table
// that is not watched: the first that the analysis has met, of each.
func (s *Server) UnwatchedTables() map[string]int {
	tables := map[string]int{}
	for _, slot := range s.verdicts.All() {
		if v := slot.Verdict(); v != nil && v.Reason == analysis.ReasonUnwatchedTable && strings.Contains(v.Detail, ".") {
			tables[v.Detail]++
		}
	}
	return tables
}

// BypassExamples returns a few shapes, without a value in them, for each reason of the
// analysis.
func (s *Server) BypassExamples() map[string][]string {
	examples := map[string][]string{}
	for _, slot := range s.verdicts.All() {
		v := slot.Verdict()
		if v == nil || v.Cacheable || len(examples[string(v.Reason)]) == examplesMax {
			continue
		}
		if text := slot.Text(); !slices.Contains(examples[string(v.Reason)], text) {
			examples[string(v.Reason)] = append(examples[string(v.Reason)], text)
		}
	}
	for _, texts := range examples {
		slices.Sort(texts)
	}
	return examples
}
