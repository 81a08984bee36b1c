package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// A change whose event was lost shows once its table is purged, in each way, and not before.
func TestPurgeReachesASidecar(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	s := startWatching(t, testConfig(t, dsn, "--watch", "public.*", "--staleness", "1m", "--verify", "0")) // however late it looks
	conn := client(t, s)
	read := func() (name string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = 1").Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for i, what := range [][]string{{"--table", "public.fruit"}, {"--all"}, {"--role", "postgres"}, {"--admin", s.AdminAddress(), "--shape"}} {
		before := read()
		hits := s.Report().Queries["hit_l1"]
		eventually(t, func() string {
			if read(); s.Report().Queries["hit_l1"] == hits {
				return "never hits"
			}
			return ""
		})
		if what[len(what)-1] == "--shape" {
			what = append(what, s.Report().Shapes[0].ID)
		}
		changed := fmt.Sprint("quince ", i)
		loseChange(t, direct, changed)
		if got := read(); got != before {
			t.Fatalf("%v: %q is read before the purge, want %q, which the cache has", what, got, before)
		}
		code, stdout, stderr := freshet(t, append([]string{"purge", "--yes", "--upstream", dsn}, what...)...)
		if code != exitOK || !strings.Contains(stdout, "follow") {
			t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
		}
		eventually(t, func() string {
			if got := read(); got != changed {
				return fmt.Sprintf("%v: %q is read after the purge, want %q", what, got, changed)
			}
			return ""
		})
	}
}

func TestPurgeOfAnUnknownShape(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*"))
	code, stdout, stderr := freshet(t, "purge", "--yes", "--admin", s.AdminAddress(), "--shape", "00000000")
	if code != exitNothing || stdout != "" || !strings.Contains(stderr, "no statement that is cached here") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestPurgeIsGuarded(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
		t.Fatal(stderr)
	}
	for typed, want := range map[string]string{"public.fruit\n": "", "yes\n": "not confirmed", "": "say --yes"} {
		err := (&purgeCommand{Table: watchList{"public.fruit"}}).confirm(strings.NewReader(typed), io.Discard)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("typed %q: error %v, want %q", typed, err, want)
		}
	}
	for _, c := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"--yes"}, exitUsage, "say what to purge"},
		{[]string{"--all"}, exitUsage, "say --yes"},
		{[]string{"--yes", "--all", "--table", "a.b"}, exitUsage, "can't be used together"},
		{[]string{"--yes", "--table", "public.friut"}, exitNothing, "no watched table"},
		{[]string{"--yes", "--table", "fruit"}, exitFailure, "schema.table"},
	} {
		code, stdout, stderr := freshet(t, append([]string{"purge", "--upstream", dsn}, c.arguments...)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit code %d, %q, %q", c.arguments, code, stdout, stderr)
		}
	}
}
