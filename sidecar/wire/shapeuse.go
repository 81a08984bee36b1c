package wire

import (
	"cmp"
	"slices"
	"strings"
	"time"

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
	// Verdict is what is known of it. It must not be changed.
	Verdict *analysis.Verdict
	// Consented is set if Verdict holds by consent alone, and Age is then how old the answer
	// was that was served last.
	Consented bool
	// Role is the name of the one that has sent them.
	Role string
	// Passed counts the statements that went to Postgres for a reason, and PassedFor is what it
	// took for them.
	Passed    uint64
	PassedFor time.Duration
	// Mixed is set if Use is of another shape, too, which has the same place.
	Mixed bool
	engine.Use
}

// ShapeUses returns the shapes that are cached, be it by consent, and of which most was saved or loaded, max
// at most, and how many there are.
func (s *Server) ShapeUses(max int) (uses []ShapeUse, all int) {
	took := func(slot *shapes.Slot) int64 {
		u := s.cache.Use(slot.Shape)
		return int64(u.Saved + u.Loading)
	}
	slots := slices.DeleteFunc(s.verdicts.All(), func(slot *shapes.Slot) bool {
		v := slot.Verdict()
		return v == nil || !v.Cacheable && v.Consent == nil || took(slot) == 0
	})
	places := map[uint64]int{}
	for _, slot := range slots {
		places[engine.UsePlace(slot.Shape)]++
	}
	slices.SortFunc(slots, func(a, b *shapes.Slot) int { return cmp.Compare(took(b), took(a)) })
	for _, slot := range slots[:min(len(slots), max)] {
		u := s.useOf(slot)
		if !u.Verdict.Cacheable {
			u.Verdict, u.Consented = u.Verdict.Consent, true
		}
		u.Mixed = places[engine.UsePlace(slot.Shape)] > 1
		uses = append(uses, u)
	}
	return uses, len(slots)
}

func (s *Server) useOf(slot *shapes.Slot) ShapeUse {
	return ShapeUse{
		Statement: slot.Text(), Verdict: slot.Verdict(), Role: slot.User,
		Passed: slot.Passed.Load(), PassedFor: time.Duration(slot.PassedFor.Load()), Use: s.cache.Use(slot.Shape),
	}
}

// ShapesPassed returns the shapes of reads that are not cached, for the reason in their verdicts, and
// for which Postgres took most time, max at most, and how many there are.
func (s *Server) ShapesPassed(max int) (uses []ShapeUse, all int) {
	slots := slices.DeleteFunc(s.verdicts.All(), func(slot *shapes.Slot) bool {
		v := slot.Verdict()
		return v == nil || v.Cacheable || v.Consent != nil || v.Reason == analysis.ReasonNotSelect || slot.Passed.Load() == 0
	})
	slices.SortFunc(slots, func(a, b *shapes.Slot) int { return cmp.Compare(b.PassedFor.Load(), a.PassedFor.Load()) })
	for _, slot := range slots[:min(len(slots), max)] {
		uses = append(uses, s.useOf(slot))
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

// Analysis says how the analysis of statements is.
func (s *Server) Analysis() shapes.Stats { return s.verdicts.Stats() }

// ShapeNumbers are those by which the cache knows a shape, by its ID: one for each state in which it
// is used.
func (s *Server) ShapeNumbers(id string) (numbers []uint64) {
	for _, slot := range s.verdicts.All() {
		if slot.Verdict() != nil && strings.EqualFold(s.termsOf(slot).ID, id) {
			numbers = append(numbers, slot.Shape)
		}
	}
	return numbers
}

// TableEntries counts, by the OIDs of the roots of their trees, the entries of memory that depend on
// tables: those of the shapes that read them. It goes through all shapes, and costs a hit nothing.
func (s *Server) TableEntries() map[uint32]int64 {
	type place struct {
		root uint32
		at   uint64
	}
	entries, counted := map[uint32]int64{}, map[place]bool{}
	for _, slot := range s.verdicts.All() {
		v := slot.Verdict()
		if v == nil || !v.Cacheable && v.Consent == nil {
			continue
		}
		if !v.Cacheable {
			v = v.Consent
		}
		if n := s.cache.Use(slot.Shape).Entries; n > 0 {
			for _, root := range v.Relations {
				// Shapes of one place are counted together, and once.
				if p := (place{root, engine.UsePlace(slot.Shape)}); !counted[p] {
					counted[p] = true
					entries[root] += n
				}
			}
		}
	}
	return entries
}

// BypassExample stands for the statements that pass through for a reason.
type BypassExample struct {
	// Statement is a shape, without a value in it; Detail is what is in the way, such as the
	// name of a table or function.
	Statement, Detail string
}

// ShapeTables returns what the statements of a shape read, by its ID: the names of tables,
// and the OIDs of the roots of their trees. There are none for one that is not cached.
func (s *Server) ShapeTables(id string) (names []string, roots []uint32) {
	for _, slot := range s.verdicts.All() { // one for each state in which it is used
		if v := slot.Verdict(); v != nil && v.Cacheable && strings.EqualFold(s.termsOf(slot).ID, id) {
			names, roots = append(names, v.Tables...), append(roots, v.Relations...)
		}
	}
	slices.Sort(names)
	slices.Sort(roots)
	return slices.Compact(names), slices.Compact(roots)
}

// BypassExamples returns a few for each reason of the analysis.
func (s *Server) BypassExamples() map[string][]BypassExample {
	examples := map[string][]BypassExample{}
	for _, slot := range s.verdicts.All() {
		v := slot.Verdict()
		if v == nil || v.Cacheable || len(examples[string(v.Reason)]) == examplesMax {
			continue
		}
		if example := (BypassExample{slot.Text(), v.Detail}); !slices.Contains(examples[string(v.Reason)], example) {
			examples[string(v.Reason)] = append(examples[string(v.Reason)], example)
		}
	}
	for _, of := range examples {
		slices.SortFunc(of, func(a, b BypassExample) int {
			return cmp.Or(cmp.Compare(a.Statement, b.Statement), cmp.Compare(a.Detail, b.Detail))
		})
	}
	return examples
}
