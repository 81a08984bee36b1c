package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// Each miss is counted under one cause.
func TestEachMissHasOneCause(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(func(c *engine.Options, _ *invalidation.FollowerOptions) {
		c.Staleness, c.EntryMax, c.MemoryBytes = time.Hour, 4<<10, 64<<10
	})
	conn := s.connect()
	read := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	by := func(cause engine.Cause) uint64 { return s.Report().Misses[cause.String()] }
	s.learn("SELECT name FROM item WHERE id = 1")
	read("SELECT name FROM item WHERE id = 2")
	if by(engine.Cold) == 0 {
		t.Errorf("no miss of a new key is counted as cold: %v", s.Report().Misses)
	}
	bed.exec("UPDATE item SET version = version + 1 WHERE id = 2")
	s.received()
	read("SELECT name FROM item WHERE id = 2")
	if by(engine.Invalidated) != 1 {
		t.Errorf("%d misses are counted as invalidated, want 1: %v", by(engine.Invalidated), s.Report().Misses)
	}
	large := "SELECT repeat(name, 5000) FROM item WHERE id = 3"
	s.learn(large)
	servers.Eventually(t, "a miss that is counted as too large", func() bool {
		read(large)
		return by(engine.TooLarge) > 0
	})
	some := func(i int) string { return fmt.Sprintf("SELECT repeat(name, %d) FROM item WHERE id = 4", i) }
	s.learn(some(1))
	servers.Eventually(t, "a miss that is counted as evicted", func() bool {
		for i := range 200 {
			read(some(i))
		}
		return by(engine.Evicted) > 0
	})
	r := s.Report()
	sum := uint64(0)
	for _, n := range r.Misses {
		sum += n
	}
	if sum != r.Queries["miss"] {
		t.Errorf("%d causes are counted for %d misses: %v", sum, r.Queries["miss"], r.Misses)
	}
}

// The time of each statement is measured under its outcome, and so is the time that hits save.
func TestTimesAreMeasuredByOutcome(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	conn := s.connect()
	slow := "SELECT id, (SELECT count(*) FROM generate_series(1, 300000)) FROM item WHERE id = 1"
	s.learn(slow)
	before := outcomesOf(s)
	statements := []string{slow, slow, strings.Replace(slow, "id = 1", "id = 2", 1), "SET extra_float_digits = 0", slow, "SELECT pg_sleep(0.02)", "SELECT nothing"}
	for _, sql := range statements {
		_, err := conn.Exec(t.Context(), sql)
		if failed := err != nil; failed != strings.Contains(sql, "nothing") {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	// The sidecar takes the time of a statement after it has written the answer's last byte.
	servers.Eventually(t, "all times to be taken", func() bool { return s.Report().Latency["error"].Count > 0 })
	r := s.Report()
	if n := outcomesOf(s) - before; n != uint64(len(statements)) || r.Queries["error"] != 1 {
		t.Errorf("%d statements have %d outcomes, want one for each, and one error: %v", len(statements), n, r.Queries)
	}
	for _, outcome := range []string{"hit_l1", "miss", "bypass"} {
		if r.Latency[outcome].Count == 0 {
			t.Errorf("no time is measured for the outcome %s", outcome)
		}
	}
	if hits := r.Latency["hit_l1"].Count; hits != r.Queries["hit_l1"] || hits != r.Overhead["hit"].Count || hits != r.HitAge["memory"].Count {
		t.Errorf("%d hits have %d times, %d overheads and %d ages, want the same number of each", r.Queries["hit_l1"], hits, r.Overhead["hit"].Count, r.HitAge["memory"].Count)
	}
	if took := r.Upstream["bypass"].SumSeconds; took < 0.02 || r.BypassSeconds["not_immutable"]+r.BypassSeconds["volatile_function"] < 0.02 {
		t.Errorf("statements that passed through took %v s, by reason %v, want 0.02 s at least of each", took, r.BypassSeconds)
	}
	if r.SavedSeconds <= 0.001 {
		t.Errorf("hits have saved %v s, want more than 0.001 s", r.SavedSeconds)
	}
	if r.Upstream["probe"].Count == 0 || r.Upstream["load"].Count == 0 || r.Overhead["relay"].Count == 0 {
		t.Errorf("the times of Postgres are %v and the overheads %v, want some of probe, load and relay", r.Upstream, r.Overhead)
	}
}

// outcomesOf returns the sum of all outcomes but errors: each statement has one of these outcomes, and
// one that fails is counted as an error besides.
func outcomesOf(s *side) (sum uint64) {
	r := s.Report()
	for _, n := range r.Queries {
		sum += n
	}
	return sum - r.Queries[Failed.String()]
}
