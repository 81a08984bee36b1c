package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/rules"
)

func TestRulesInAFile(t *testing.T) {
	file := writeConfig(t, `socket-dir: /run/x
tables:
  - {match: public.sessions, cache: no}
  - match: public.prices
    staleness: 500ms
    ttl: 10m
  - {match: stats.*, out-of-date: 30s}
shapes:
  - {id: 9f31c2aa, cache: no}
  - {match: 'SELECT … FROM orders WHERE "a" < ?', max-entry: 64KiB}
`)
	code, shown, stderr := freshet(t, "config", "show", "--origin", "--config", file)
	if code != exitOK {
		t.Fatal(stderr)
	}
	again := writeConfig(t, shown)
	for _, path := range []string{file, again} {
		c, err := reread([]string{"serve", "--config", path})()
		if err != nil {
			t.Fatal(err)
		}
		want := []rules.Rule{
			{Table: "public.sessions", Terms: rules.Terms{Never: true}},
			{Table: "public.prices", Terms: rules.Terms{Staleness: 500 * time.Millisecond, TTL: 10 * time.Minute}},
			{Table: "stats.*", OutOfDate: 30 * time.Second},
			{ID: "9f31c2aa", Terms: rules.Terms{Never: true}},
			{Text: `SELECT … FROM orders WHERE "a" < ?`, Terms: rules.Terms{EntryMax: 64 << 10}},
		}
		if got := c.rules(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s gives\n%+v, want\n%+v", path, got, want)
		}
	}
	t.Setenv("FRESHET_TABLES", "{match: a.b, cache: no}")
	if c, err := reread([]string{"serve", "--socket-dir", "/run/x"})(); err != nil || len(c.rules()) != 1 || c.rules()[0].Table != "a.b" {
		t.Errorf("from the environment: %+v, %v", c.rules(), err)
	}
}

func TestWrongRulesAreToldAtOnce(t *testing.T) {
	file := writeConfig(t, `tables:
  - {match: sessions, cache: no}
  - match: public.prices
    stalness: 500ms
    ttl: 3
  - {match: a.b}
  - x
  - {cache: no}
shapes:
  - {id: 9f31c2a, cache: yes}
  - {id: 9f31c2aa, match: x, cache: no}
`)
	code, _, stderr := freshet(t, "config", "check", "--config", file)
	if code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	for _, says := range []string{
		"yaml:2: tables: key \"match\": \"sessions\" is no table", "yaml:4: tables: unknown key \"stalness\"; did you mean \"staleness\"?", "write 3s",
		"yaml:6: tables: the rule says nothing", "yaml:7: tables: a rule has keys", "yaml:8: tables: the rule says not what it is for",
		"yaml:10: shapes: key \"id\"", "\"yes\" is none of its values", "yaml:11: shapes: the rule has both",
	} {
		if !strings.Contains(stderr, says) {
			t.Errorf("the error lacks %q:\n%s", says, stderr)
		}
	}
	code, _, stderr = freshet(t, "config", "check", "--socket-dir", "/run/x", "--tables", "[{match: a.a, staleness: 5s}, {match: a.b, staleness: 150ms}]",
		"--tables", "[{match: a.c, ttl: 5h}, {match: a.d, out-of-date: 6h}]", "--shapes", "{match: SELECT, max-entry: 2MiB}")
	for _, says := range []string{"a.a has a staleness of 5s, more than --staleness 1s", "a.b has a staleness of 150ms, less than twice --poll", "a.c has a ttl of 5h0m0s", "a.d has an out-of-date of 6h0m0s, more than --ttl", "SELECT has a max-entry of 2.0 MiB"} {
		if code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("the error lacks %q:\n%s", says, stderr)
		}
	}
}

// A rule is put in force by a reload, also for what was kept before it; one that is wrong
// leaves the rules of before.
func TestReloadOfRules(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	c := testConfig(t, dsn, "--watch", "public.*")
	s := start(t, c)
	r := reloading(s, c)
	conn := client(t, s)
	read := func() (hit, ruled bool) {
		t.Helper()
		before := s.Report()
		var name string
		if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = 1").Scan(&name); err != nil {
			t.Fatal(err)
		}
		after := s.Report()
		return after.Queries["hit_l1"] > before.Queries["hit_l1"], after.Bypasses["switched_off_by_rule"] > before.Bypasses["switched_off_by_rule"]
	}
	hits := func() string {
		if hit, _ := read(); !hit {
			return "never hits"
		}
		return ""
	}
	eventually(t, hits)
	wanted := c
	r.read = func() (config, error) { return wanted, nil }
	wanted.Tables = tableRules{{Table: "public.*", Terms: rules.Terms{Never: true}}}
	if changed, err := r.reload(t.Context()); err != nil || fmt.Sprint(changed) != "[tables]" {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if hit, ruled := read(); hit || !ruled {
		t.Errorf("under the rule a read is a hit: %v, ruled out: %v", hit, ruled)
	}
	wanted.Tables = tableRules{{Table: "public.*", Terms: rules.Terms{TTL: 2 * c.TTL}}}
	if _, err := r.reload(t.Context()); err == nil {
		t.Error("a rule that is weaker than the sidecar's promise was put in force")
	}
	if hit, ruled := read(); hit || !ruled {
		t.Errorf("after a reload that failed a read is a hit: %v, ruled out: %v", hit, ruled)
	}
	wanted.Tables = nil
	if _, err := r.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, hits)
}
