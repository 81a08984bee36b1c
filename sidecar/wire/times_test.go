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

// Every miss has a cause, and all of them together are the misses.
func TestMissesHaveCauses(t *testing.T) {
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
		t.Errorf("nothing was cold: %v", s.Report().Misses)
	}
	bed.exec("UPDATE item SET version = version + 1 WHERE id = 2")
	s.received()
	read("SELECT name FROM item WHERE id = 2")
	if by(engine.Invalidated) != 1 {
		t.Errorf("the change ended nothing: %v", s.Report().Misses)
	}
	large := "SELECT repeat(name, 5000) FROM item WHERE id = 3"
	s.learn(large)
	servers.Eventually(t, "a large answer to be remembered", func() bool {
		read(large)
		return by(engine.TooLarge) > 0
	})
	some := func(i int) string { return fmt.Sprintf("SELECT repeat(name, %d) FROM item WHERE id = 4", i) }
	s.learn(some(1))
	servers.Eventually(t, "something to have gone for others", func() bool {
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
		t.Errorf("%d causes for %d misses: %v", sum, r.Queries["miss"], r.Misses)
	}
}

// What statements take is measured by how they are answered, and what hits save.
func TestTimesAreMeasured(t *testing.T) {
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
	// The last byte of an answer is written before its time is taken.
	servers.Eventually(t, "all times to be taken", func() bool { return s.Report().Latency["error"].Count > 0 })
	r := s.Report()
	if n := outcomesOf(s) - before; n != uint64(len(statements)) || r.Queries["error"] != 1 {
		t.Errorf("%d statements have %d outcomes, and one of them is an error: %v", len(statements), n, r.Queries)
	}
	for _, outcome := range []string{"hit_l1", "miss", "bypass"} {
		if r.Latency[outcome].Count == 0 {
			t.Errorf("no time of %s", outcome)
		}
	}
	if hits := r.Latency["hit_l1"].Count; hits != r.Queries["hit_l1"] || hits != r.Overhead["hit"].Count || hits != r.HitAge["memory"].Count {
		t.Errorf("%d hits, %d times, %d overheads, %d ages", r.Queries["hit_l1"], hits, r.Overhead["hit"].Count, r.HitAge["memory"].Count)
	}
	if took := r.Upstream["bypass"].SumSeconds; took < 0.02 || r.BypassSeconds["not_immutable"]+r.BypassSeconds["volatile_function"] < 0.02 {
		t.Errorf("what passed through took %v s, by reason %v", took, r.BypassSeconds)
	}
	if r.SavedSeconds <= 0.001 {
		t.Errorf("hits have saved %v s", r.SavedSeconds)
	}
	if r.Upstream["probe"].Count == 0 || r.Upstream["load"].Count == 0 || r.Overhead["relay"].Count == 0 {
		t.Errorf("upstream %v, overhead %v", r.Upstream, r.Overhead)
	}
}

// outcomesOf is the sum of all outcomes: each statement that was executed has one, and is an
// error besides if Postgres says so.
func outcomesOf(s *side) (sum uint64) {
	r := s.Report()
	for _, n := range r.Queries {
		sum += n
	}
	return sum - r.Queries[Failed.String()]
}
