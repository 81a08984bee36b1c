package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/histogram"
)

// What happened between two readings is shown: what most time of Postgres' went to first.
func TestTopShowsWhatHappened(t *testing.T) {
	t.Parallel()
	var hits histogram.Histogram
	hits.Observe(40_000, 3)
	before := dashboard.Stats{
		UptimeSeconds: 10, Queries: map[string]uint64{"hit_l1": 100, "bypass": 50},
		Bypasses: map[string]uint64{"not_select": 50}, BypassSeconds: map[string]float64{"not_select": 1},
	}
	now := dashboard.Stats{
		Version: "v1", Ready: true, Listening: true, WatchedTables: 3, FollowerAgeSeconds: new(0.05), FollowerAgeP99Seconds: new(0.09), StalenessSeconds: 1, UptimeSeconds: 12, Queries: map[string]uint64{"hit_l1": 103, "miss": 1, "bypass": 57}, SavedSeconds: 3,
		Misses:   map[string]uint64{"cold": 1, "expired": 0},
		Bypasses: map[string]uint64{"not_select": 55, "volatile": 2}, BypassSeconds: map[string]float64{"not_select": 1.1, "volatile": 0.5},
		BypassAdvice: map[string]string{"volatile": "do this"},
		Verify:       dashboard.Verification{Results: map[string]uint64{"same": 7, "stale": 0, "skipped_load": 9}},
		Times:        dashboard.Times{Latency: map[string]histogram.Reading{"hit_l1": hits.Read()}},
	}
	top := topView{Sort: "time"}
	text := top.screen(&now, &before, "here")
	for _, part := range []string{"\nFresh. 50.0 % of reads from the cache, 1m30s of Postgres' time saved per minute, 0 stale of 7 verified.\n",
		"HIT RATIO  50.0 % of the reads, 75.0 % of what can be cached; since the start", "SAVED      1.50 s of Postgres in a second, 2 queries/s", "FRESHNESS  50ms since the last look began, 99 % of 5 minutes within 90ms; promise: no older than 1s", "VERIFIED   0 stale of 7", "cold", "do this"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing:\n%s", part, text)
		}
	}
	if strings.Contains(text, "expired") || strings.Index(text, "volatile") > strings.Index(text, "not_select") {
		t.Errorf("what did not happen is shown, or what took less time first:\n%s", text)
	}
	top.Sort = "count"
	if text := top.screen(&now, &before, "here"); strings.Index(text, "volatile") < strings.Index(text, "not_select") {
		t.Errorf("what happened less often is shown first:\n%s", text)
	}
	top.Filter = "vol"
	if text := top.screen(&now, &before, "here"); strings.Contains(text, "not_select") {
		t.Errorf("what was not asked for is shown:\n%s", text)
	}
}

// The first line of top and that of the page are the same, in each state.
func TestTopSaysWhatThePageSays(t *testing.T) {
	t.Parallel()
	well := func(change func(*dashboard.Stats)) dashboard.Stats {
		s := dashboard.Stats{Listening: true, WatchedTables: 1, FollowerAgeSeconds: new(0.1), StalenessSeconds: 1}
		change(&s)
		s.JudgeReadiness()
		return s
	}
	stats := []dashboard.Stats{
		well(func(s *dashboard.Stats) {}),
		well(func(s *dashboard.Stats) { s.FollowerResting, s.FollowerAgeSeconds = true, new(20.0) }),
		well(func(s *dashboard.Stats) { s.Listening = false }),
		well(func(s *dashboard.Stats) { s.Ending = true }),
		well(func(s *dashboard.Stats) {
			s.FollowerAgeSeconds, s.FollowerProblem = new(3.0), "looker: connect to Postgres: connection refused"
		}),
		well(func(s *dashboard.Stats) { s.Verify.Results = map[string]uint64{"stale": 2} }),
		well(func(s *dashboard.Stats) { s.FollowerAgeSeconds = nil }),
		well(func(s *dashboard.Stats) { s.FollowerAgeSeconds, s.FollowerProblem = nil, "nothing is installed" }),
		well(func(s *dashboard.Stats) { s.FollowerAgeSeconds = new(2.0) }),
		well(func(s *dashboard.Stats) { s.PoolingProblem = "the pooler shares servers" }),
		well(func(s *dashboard.Stats) { s.InstallProblem, s.WatchedTables = "what is installed is older", 0 }),
		well(func(s *dashboard.Stats) { s.InstallProblem, s.NeverInstalled = "what is installed is older", true }),
		well(func(s *dashboard.Stats) { s.SwitchedOff = true }),
		well(func(s *dashboard.Stats) { s.WatchedTables = 0 }),
		well(func(s *dashboard.Stats) { s.Redis.State, s.Redis.Refusal = "refusing", "NOAUTH" }),
		well(func(s *dashboard.Stats) { s.Redis.State = "down" }),
		well(func(s *dashboard.Stats) { s.WatchProblems, s.Problems = 1, []string{"public.a: no longer watched"} }),
		well(func(s *dashboard.Stats) { s.WatchProblems, s.Problems = 2, []string{"one", "two"} }),
		well(func(s *dashboard.Stats) { s.Config.Problem = "line 3" }),
	}
	sent, err := json.Marshal(stats)
	if err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs("../dashboard/page/verdict.js")
	if err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("import { verdict } from %q;\nconst said = %s.map((s) => verdict(s, false)).map((v) => ({ State: v.state, Text: v.text, Alarm: v.alarm, Command: v.command }));\nconsole.log(JSON.stringify(said));\n", module, sent)
	file := filepath.Join(t.TempDir(), "said.mjs")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	answer, err := exec.CommandContext(t.Context(), "node", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	var page []dashboard.Verdict
	if err := json.Unmarshal(answer[bytes.IndexByte(answer, '['):], &page); err != nil {
		t.Fatal(err)
	}
	for i := range stats {
		if got := stats[i].Verdict(); got != page[i] {
			t.Errorf("top says %+v, and the page %+v", got, page[i])
		}
	}
}

func TestTopAsksASidecar(t *testing.T) {
	dsn, _ := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*"))
	if code, stdout, stderr := freshet(t, "top", "--admin", s.AdminAddress(), "--once", "--interval", "100ms"); code != exitOK || !strings.Contains(stdout, "PASSED THROUGH") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := freshet(t, "top", "--admin", s.AdminAddress(), "--interval", "1ms"); code != exitUsage {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
