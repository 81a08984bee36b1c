package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// addShapes lists the statements that are cached and of which most was saved or loaded.
func (s *stack) addShapes(stats *dashboard.Stats) {
	stats.Shapes, stats.ShapesKnown = s.shapesCached(dashboard.ShapesMax)
	stats.ShapesPassed = s.shapesPassed(dashboard.ShapesPassedMax)
}

// shapes lists max statements that are cached, and max that are not; all are cached.
func (s *stack) shapes(max int) (shapes []dashboard.Shape, all int) {
	cached, all := s.shapesCached(max)
	return append(cached, s.shapesPassed(max)...), all
}

// shapesPassed lists statements that are not cached, max of all.
func (s *stack) shapesPassed(max int) (shapes []dashboard.Shape) {
	uses, _ := s.server.ShapesPassed(max)
	for _, u := range uses {
		shapes = append(shapes, dashboard.Shape{
			ID: rules.ShapeID(u.Statement), Statement: u.Statement, Tables: u.Verdict.Tables, Roles: rolesOf(u.Role),
			Reason: string(u.Verdict.Reason), Detail: u.Verdict.Detail, Passed: u.Passed, PassedSeconds: u.PassedFor.Seconds(),
		})
	}
	return shapes
}

// rolesOf is the list of one role, if its name is known.
func rolesOf(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// shapesCached lists statements that are cached, with what ends their answers, max of all.
func (s *stack) shapesCached(max int) (shapes []dashboard.Shape, all int) {
	uses, all := s.server.ShapeUses(max)
	state := s.follower.State()
	for _, u := range uses {
		shape := dashboard.Shape{
			ID: rules.ShapeID(u.Statement), Statement: u.Statement, Tables: u.Verdict.Tables, Hits: u.Hits, Loads: u.Loads,
			SavedSeconds: u.Saved.Seconds(), LoadingSeconds: u.Loading.Seconds(), Watch: watchToo(u.Verdict.Wishes, state),
			Roles: rolesOf(u.Role), Passed: u.Passed, PassedSeconds: u.PassedFor.Seconds(),
			OutOfDate: u.Consented, AgeSeconds: u.Age.Seconds(),
			Entries: u.Entries, Bytes: u.Bytes, AgeP50Seconds: u.MedianAge.Seconds(), Misses: map[string]uint64{},
			Mixed: u.Mixed,
		}
		for cause, n := range u.Misses {
			if n > 0 {
				shape.Misses[engine.Cause(cause).String()] = n
			}
		}
		shape.Tables = append(shape.Tables[:len(shape.Tables):len(shape.Tables)], u.Verdict.Unwatched...)
		for _, t := range u.Verdict.Tags {
			if text := spellTagWithoutValue(t, state); !slices.Contains(shape.Tags, text) {
				shape.Tags = append(shape.Tags, text)
			}
		}
		shapes = append(shapes, shape)
	}
	return shapes, all
}

// spellTagWithoutValue names the table, and the column by whose values its changes are told
// apart: which value, a statement's literal may say.
func spellTagWithoutValue(t analysis.TagTemplate, state *invalidation.State) string {
	text := fmt.Sprint(t.Root)
	if table, ok := state.Table(t.Root); ok {
		text = table.Schema + "." + table.Name
	}
	if t.Column == "" {
		return text
	}
	return text + "/" + t.Column + "=…"
}

// watchToo are the commands that watch columns beside those that are.
func watchToo(wishes []analysis.Wish, state *invalidation.State) (commands []string) {
	for i, w := range wishes {
		if i > 0 && wishes[i-1].Table == w.Table {
			continue // one command for each table; wishes are in order
		}
		var columns []string
		if t, ok := state.Table(w.Root); ok {
			columns = slices.Clone(t.Columns)
		}
		for _, other := range wishes {
			if other.Table == w.Table && !slices.Contains(columns, other.Column) {
				columns = append(columns, other.Column)
			}
		}
		commands = append(commands, fmt.Sprintf("freshet install --watch '%s(%s)'", w.Table, strings.Join(columns, ", ")))
	}
	return commands
}

// addBypasses shows statements that are not cached, and what could be done for them.
func (s *stack) addBypasses(stats *dashboard.Stats) {
	stats.BypassExamples, stats.BypassRules = map[string][]string{}, map[string][]string{}
	for reason, examples := range s.server.BypassExamples() {
		for _, e := range examples {
			if !slices.Contains(stats.BypassExamples[reason], e.Statement) {
				stats.BypassExamples[reason] = append(stats.BypassExamples[reason], e.Statement)
			}
			if rule := ruleFor(analysis.Reason(reason), e.Detail); rule != "" && !slices.Contains(stats.BypassRules[reason], rule) {
				stats.BypassRules[reason] = append(stats.BypassRules[reason], rule)
			}
		}
	}
}

// ruleFor is what an operator would write to have a statement cached, empty if that is not
// for an operator to say.
func ruleFor(reason analysis.Reason, detail string) string {
	named := strings.Contains(detail, ".") && !strings.ContainsAny(detail, " ,'")
	switch {
	case reason == analysis.ReasonUnwatchedTable && named:
		return "freshet install --watch " + detail
	case reason == analysis.ReasonUserFunction && named:
		return fmt.Sprintf("function: ['%s(ARGUMENT TYPES)=THE TABLES IT READS']", detail)
	}
	return ""
}
