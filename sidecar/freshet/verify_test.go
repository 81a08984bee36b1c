package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/run"
)

// What clients are served is compared with Postgres. An answer whose event was lost is
// found, told of, and served no more.
func TestServedAnswersAreVerified(t *testing.T) {
	dsn, direct := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*", "--verify", "1", "--verify-rate", "1000", "--staleness", "200ms", "--poll", "50ms"))
	conn := client(t, s)
	const statement = "SELECT name FROM fruit WHERE id = $1"
	read := func() (name string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), statement, 1).Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	count := func(result string) uint64 { return s.Report().Verify.Results[result] }
	eventually(t, func() string {
		if read(); count("same") < 2 {
			return "nothing was found the same"
		}
		return ""
	})
	loseChange(t, direct, "pear")
	eventually(t, func() string {
		if read(); count("stale") == 0 {
			return "the stale answer was not found"
		}
		return ""
	})
	if name := read(); name != "pear" {
		t.Errorf("still served %q", name)
	}
	want := dashboard.StaleAnswer{Statement: statement, Tables: []string{"public.fruit"}}
	last := s.Report().Verify.LastStale
	if last == nil || last.Statement != want.Statement || strings.Join(last.Tables, ",") != strings.Join(want.Tables, ",") {
		t.Errorf("told of %+v", last)
	}
	for _, other := range []string{"error", "incomparable", "skipped_role"} {
		if n := count(other); n != 0 {
			t.Errorf("%d are %s", n, other)
		}
	}
}

// Where an answer was stale, statements of its shape pass through, and no others, until
// somebody purges the table, in whatever way: also in a sidecar that starts later, as one does
// after a restart. What the sidecar ends by itself is no purge.
func TestStaleShapePassesThroughUntilPurge(t *testing.T) {
	dsn, direct := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*", "--verify", "1", "--verify-rate", "1000", "--verify-on-stale", "bypass", "--staleness", "200ms", "--poll", "50ms"))
	conn := client(t, s)
	read := func(sql string) (hits, passed uint64) {
		t.Helper()
		before := s.Report()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		after := s.Report()
		return after.Queries["hit_l1"] - before.Queries["hit_l1"], after.Bypasses[reasons.Distrusted] - before.Bypasses[reasons.Distrusted]
	}
	const stale, other = "SELECT name FROM fruit WHERE id = 1", "SELECT id FROM fruit WHERE id = 2"
	for i, purge := range []string{"command", "function"} {
		eventually(t, func() string {
			if hits, _ := read(stale); hits == 0 {
				return purge + ": nothing is found in the cache"
			}
			return ""
		})
		loseChange(t, direct, fmt.Sprint("pear", i))
		eventually(t, func() string {
			if _, passed := read(stale); passed == 0 {
				return purge + ": it does not pass through"
			}
			return ""
		})
		if _, err := direct.Exec(t.Context(), "UPDATE fruit SET name = 'fig' WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if hits, _ := read(other); hits == 0 {
				return purge + ": another shape is not answered from the cache"
			}
			return ""
		})
		if hits, passed := read("SELECT name FROM fruit WHERE id = 2"); hits != 0 || passed != 1 {
			t.Errorf("%s: of the same shape %d hits, %d passed through", purge, hits, passed)
		}
		if shapes := s.Report().Verify.Distrusted; len(shapes) != 1 || !rules.IsShapeID(shapes[0]) {
			t.Errorf("%s: reported as %q", purge, shapes)
		}
		later := start(t, testConfig(t, dsn, "--verify-on-stale", "bypass"))
		wantPassed(t, client(t, later), later, stale)
		switch purge {
		case "command":
			if code, stdout, stderr := freshet(t, "purge", "--upstream", dsn, "--table", "public.fruit", "--yes"); code != exitOK {
				t.Fatalf("purge: %s%s", stdout, stderr)
			}
		default:
			if _, err := direct.Exec(t.Context(), "SELECT freshet.purge('fruit')"); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, func() string {
		if hits, _ := read(stale); hits == 0 {
			return "what was purged is not answered from the cache again"
		}
		return ""
	})
	if shapes := s.Report().Verify.Distrusted; len(shapes) != 0 {
		t.Errorf("still distrusted: %q", shapes)
	}
}

// wantPassed has a statement pass through since its shape is distrusted, however often it is
// sent.
func wantPassed(t *testing.T, conn *pgx.Conn, s *run.Sidecar, sql string) {
	t.Helper()
	const times = 3
	for range times {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Report().Bypasses[reasons.Distrusted]; n != times {
		t.Errorf("a sidecar that started later has passed %d of %d through", n, times)
	}
}
