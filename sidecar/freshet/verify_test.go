package main

import (
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/dashboard"
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
	if _, err := direct.Exec(t.Context(), "BEGIN; UPDATE fruit SET name = 'pear' WHERE id = 1; DELETE FROM freshet.outbox WHERE xid = pg_current_xact_id(); COMMIT"); err != nil {
		t.Fatal(err)
	}
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
