package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// accessLine is a line of the access log.
type accessLine struct {
	Time, Role, Database, Shape, Outcome, Reason string
	PID                                          uint32
	Tables                                       []string
	Duration                                     float64  `json:"duration_ms"`
	Age                                          *float64 `json:"age_ms"`
}

func readAccessLog(t *testing.T, path string) (text string, lines []accessLine) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var l accessLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, l)
	}
	return string(b), lines
}

// Each statement has a line: how it was answered, and what it read, and no value of it. A
// file that was renamed is left behind by a reload.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	path := filepath.Join(t.TempDir(), "access.log")
	c := testConfig(t, dsn, "--watch", "public.*", "--access-log", path)
	s := start(t, c)
	r := reloading(s, c)
	r.read = func() (config, error) { return c, nil }
	conn := client(t, s)
	read := func(mode pgx.QueryExecMode) {
		t.Helper()
		var name string
		if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE name <> 'secret' AND id = $1", mode, 1).Scan(&name); err != nil {
			t.Fatal(err)
		}
	}
	hit := func(mode pgx.QueryExecMode) {
		t.Helper()
		before := s.Report().Queries["hit_l1"]
		eventually(t, func() string {
			if read(mode); s.Report().Queries["hit_l1"] == before {
				return "never hits"
			}
			return ""
		})
	}
	hit(pgx.QueryExecModeSimpleProtocol)
	hit(pgx.QueryExecModeCacheStatement)
	if _, err := conn.Exec(t.Context(), "UPDATE fruit SET name = 'secret2' WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"BEGIN", "COMMIT"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// A part of a group, whose end nobody waits for, and one that goes on.
	pipeline := conn.PgConn().StartPipeline(t.Context())
	pipeline.SendQueryParams("SELECT id FROM fruit", nil, nil, nil, nil)
	pipeline.SendFlushRequest()
	if err := pipeline.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.GetResults(); err != nil {
		t.Fatal(err)
	}
	if err := pipeline.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := pipeline.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT nothing FROM fruit"); err == nil {
		t.Fatal("an error was expected")
	}
	var lines []accessLine
	var text string
	eventually(t, func() string {
		text, lines = readAccessLog(t, path)
		if n := uint64(len(lines)); n == 0 || lines[n-1].Outcome != "error" || s.Report().AccessLines != n {
			return fmt.Sprintf("%d lines", n)
		}
		return ""
	})
	if strings.Contains(text, "secret") {
		t.Errorf("a value is written:\n%s", text)
	}
	seen := map[string]int{}
	for _, l := range lines {
		seen[l.Outcome]++
		if l.Time == "" || l.Role == "" || l.Database == "" || l.PID == 0 || l.Duration <= 0 && l.Reason != "open_group" && l.Outcome != "local" {
			t.Errorf("something is missing in %+v", l)
		}
		if l.Outcome == "hit_l1" && (l.Age == nil || *l.Age <= 0 || len(l.Shape) != 8 || fmt.Sprint(l.Tables) != "[public.fruit]") {
			t.Errorf("a hit is %+v", l)
		}
		if (l.Outcome == "bypass") != (l.Reason != "") && l.Outcome != "error" {
			t.Errorf("its reason is missing, or too much: %+v", l)
		}
	}
	// The part is loaded, or its statement is not analysed yet.
	if seen["hit_l1"] < 2 || seen["miss"] < 1 || seen["bypass"] < 1 || seen["miss"]+seen["bypass"] < 3 || seen["local"] != 2 || seen["error"] != 1 {
		t.Errorf("lines by outcome: %v", seen)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		read(pgx.QueryExecModeCacheStatement)
		if _, lines := readAccessLog(t, path); len(lines) == 0 {
			return "the new file stays empty"
		}
		return ""
	})
	code, _, stderr := freshet(t, "serve", "--upstream", dsn, "--socket-dir", t.TempDir(), "--admin", "off", "--access-log", filepath.Join(path, "none"))
	if code != exitFailure || !strings.Contains(stderr, "open the access log") {
		t.Errorf("a file that cannot be made: exit code %d, %s", code, stderr)
	}
}
