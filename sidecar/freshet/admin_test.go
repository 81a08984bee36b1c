package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/dashboard"
)

func TestHealthcheckAndStats(t *testing.T) {
	dsn, _ := setupFruit(t)
	c := testConfig(t, dsn, "--watch", "public.*")
	s := start(t, c)
	eventually(t, func() string { return notReady(s) })
	conn := client(t, s)
	eventually(t, func() string {
		if _, err := conn.Exec(t.Context(), "SELECT name FROM fruit WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		if s.Report().Queries["hit_l1"] == 0 {
			return "no read is a hit"
		}
		return ""
	})
	asClient := fmt.Sprintf("host=%s port=6432 user=%s dbname=%s", c.SocketDir, s.ClientConfig().User, s.ClientConfig().Database)
	for _, c := range []struct {
		arguments []string
		code      int
		out, err  string
	}{
		{[]string{"healthcheck", "--admin", s.AdminAddress()}, exitOK, "ready\n", ""},
		{[]string{"healthcheck", "--live", "--admin", s.AdminAddress()}, exitOK, "live\n", ""},
		{[]string{"healthcheck", "--admin", "off", "--socket-dir", c.SocketDir}, exitOK, "listening\n", ""},
		{[]string{"healthcheck", "--admin", "off", "--socket-dir", c.SocketDir, "--port", "6433"}, exitFailure, "", "no such file"},
		{[]string{"healthcheck", "--live", "--socket", c.SocketDir}, exitOK, "listening\n", ""},
		{[]string{"healthcheck", "--live", "--socket", c.SocketDir + "/.s.PGSQL.6432"}, exitOK, "listening\n", ""},
		{[]string{"healthcheck", "--live", "--socket", c.SocketDir + "/.s.PGSQL.6433"}, exitFailure, "", "no such file"},
		{[]string{"healthcheck", "--ready", "--socket", asClient}, exitOK, "ready\n", ""},
		{[]string{"healthcheck", "--socket", dsn}, exitFailure, "", "is it Postgres itself?"},
		{[]string{"healthcheck", "--ready", "--live"}, exitUsage, "", "--live"},
		{[]string{"healthcheck", "--admin", "off"}, exitUsage, "", "--socket-dir"},
		{[]string{"stats", "--admin", s.AdminAddress()}, exitOK, "1 watched, 0 problems", ""},
		{[]string{"stats", "--admin", s.AdminAddress(), "--watch", "1ms"}, exitUsage, "", "too short"},
	} {
		code, stdout, stderr := freshet(t, c.arguments...)
		if code != c.code || !strings.Contains(stdout, c.out) || !strings.Contains(stderr, c.err) || (stderr == "") != (code == exitOK) {
			t.Errorf("%v: exit code %d, %q, %q", c.arguments, code, stdout, stderr)
		}
	}
	if _, stdout, _ := freshet(t, "stats", "--admin", s.AdminAddress()); !regexp.MustCompile(`\n  hit_l1 +[1-9]`).MatchString(stdout) {
		t.Errorf("the hit is not among the statistics:\n%s", stdout)
	}
	code, stdout, stderr := freshet(t, "stats", "--json", "--admin", s.AdminAddress())
	var stats dashboard.Stats
	if err := json.Unmarshal([]byte(stdout), &stats); err != nil || code != exitOK || stats.WatchedTables != 1 {
		t.Errorf("exit code %d, %v, %s%s", code, err, stdout, stderr)
	}
}

func TestHealthcheckOfWhatIsNotReady(t *testing.T) {
	t.Parallel()
	s := startWithoutPostgres(t, testConfig(t, "host=/nowhere user=u"))
	code, stdout, stderr := freshet(t, "healthcheck", "--admin", s.AdminAddress())
	if code != exitFailure || stdout != "" || !strings.Contains(stderr, "not ready: no look at the outbox") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	socket := "host=" + s.ClientConfig().Host + " port=6432 user=u"
	if code, _, stderr := freshet(t, "healthcheck", "--socket", socket); code != exitFailure || strings.Count(stderr, "\n") != 1 {
		t.Errorf("over the socket: exit code %d, %q", code, stderr)
	}
	if code, stdout, _ := freshet(t, "healthcheck", "--live", "--admin", s.AdminAddress()); code != exitOK || stdout != "live\n" {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestStatsCountSinceTheLastReading(t *testing.T) {
	t.Parallel()
	before := dashboard.Stats{UptimeSeconds: 10, Queries: map[string]uint64{"hit_l1": 100, "bypass": 50}, Bypasses: map[string]uint64{"write": 50}}
	now := dashboard.Stats{UptimeSeconds: 12, Queries: map[string]uint64{"hit_l1": 103, "miss": 1, "bypass": 54, "error": 2}, Bypasses: map[string]uint64{"write": 50, "volatile": 4}, BypassAdvice: map[string]string{"volatile": "do this"}}
	var text strings.Builder
	if err := printStats(&text, &now, &before); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"2s, 0 clients now, 4 statements a second", "37.5 % of the reads, 75.0 % of those that can be cached", "volatile", "4: do this"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is missing:\n%s", part, text.String())
		}
	}
	if strings.Contains(text.String(), "write") {
		t.Errorf("a reason that nobody had meanwhile:\n%s", text.String())
	}
}
