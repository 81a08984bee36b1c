package wire

import (
	"context"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// The reports of shapes say how often the statements of each shape were hits, loads or passed through,
// and show no value of a client. Shapes that share a place of the counters are reported as mixed.
func TestShapesReportWhatBecameOfTheirStatements(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, "CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'a')")
	s := bed.sidecar(patient)
	c := s.connect()
	s.learn("SELECT name FROM item WHERE id = 1")
	known, _ := s.ShapeUses(1)
	if len(known) != 1 {
		t.Fatalf("%d shapes are cached, want 1", len(known))
	}
	learning := known[0].Hits + known[0].Loads
	for range 5 {
		for _, sql := range []string{"SELECT name FROM item WHERE id = 1", "SELECT random(), 'a secret'", "UPDATE item SET name = 'b' WHERE id = 2"} {
			if _, err := c.Exec(context.Background(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	uses, all := s.ShapeUses(10)
	if all != 1 || len(uses) != 1 || uses[0].Statement != "SELECT name FROM item WHERE id = ?" || len(uses[0].Verdict.Tables) != 1 {
		t.Fatalf("%d shapes are cached: %+v, want the read alone", all, uses)
	}
	if u := uses[0]; u.Hits+u.Loads != learning+5 || u.Loads == 0 || u.Hits == 0 || u.Saved <= 0 || u.Loading <= 0 {
		t.Errorf("the use of the read is %+v, want %d hits and loads in all, some of each, and times", u.Use, learning+5)
	}
	passed, all := s.ShapesPassed(10)
	if all != 1 || len(passed) != 1 {
		t.Fatalf("%d shapes pass through: %+v, want one", all, passed)
	}
	// The first of five statements may have passed through before its shape had a verdict.
	if p := passed[0]; p.Statement != "SELECT random(), ?" || p.Verdict.Reason != "volatile_function" || p.Passed < 4 || p.PassedFor <= 0 || p.Role == "" || p.Role != uses[0].Role {
		t.Errorf("the shape that passes through is %+v, want at least 4 statements for volatile_function, and the role of the read", p)
	}
	if entries := s.TableEntries(); len(entries) != 1 || entries[uses[0].Verdict.Relations[0]] != 1 {
		t.Errorf("the entries of each table are %v, want 1 of item alone", entries)
	}
	if a := s.Analysis(); a.Analysed < 2 || a.Problem != "" {
		t.Errorf("the analysis is %+v, want at least 2 statements analysed, and no problem", a)
	}
	mustExec(t, c, "SELECT id FROM item WHERE name = 'b'")
	servers.Eventually(t, "another shape to be cached", func() bool {
		mustExec(t, c, "SELECT id FROM item WHERE name = 'b'")
		uses, all = s.ShapeUses(10)
		return all == 2
	})
	for _, u := range uses {
		if u.Mixed {
			t.Errorf("a shape with a place of its own is reported as mixed: %+v", u)
		}
	}
	var cached []*shapes.Slot
	for _, slot := range s.verdicts.All() {
		if v := slot.Verdict(); v != nil && v.Cacheable {
			cached = append(cached, slot)
		}
	}
	entries := s.cache.Use(cached[0].Shape).Entries
	cached[1].Shape = cached[0].Shape + 1<<12 // has the same place of the counters
	if engine.UsePlace(cached[0].Shape) != engine.UsePlace(cached[1].Shape) {
		t.Fatal("the two shapes have different places, want the same")
	}
	uses, _ = s.ShapeUses(10)
	if len(uses) != 2 || !uses[0].Mixed || !uses[1].Mixed {
		t.Errorf("the shapes that share a place are reported as %+v, want two that are mixed", uses)
	}
	if got := s.TableEntries(); len(got) != 1 || got[uses[0].Verdict.Relations[0]] != entries {
		t.Errorf("the entries of each table are %v, want %d of item, as the place is counted once", got, entries)
	}
	if none, _ := s.ShapeUses(0); len(none) != 0 {
		t.Errorf("the report of no shapes holds %+v", none)
	}
	if got := s.BypassExamples()["volatile_function"]; len(got) != 1 || got[0] != (BypassExample{Statement: "SELECT random(), ?", Detail: "random"}) {
		t.Errorf("the examples of statements that pass through are %q, want SELECT random(), ? alone", s.BypassExamples())
	}
}
