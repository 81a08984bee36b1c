package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/dashboard"
)

// askVerdict has the page's own code judge a reading.
const askVerdict = `import { verdict } from %q;
process.stdout.write(JSON.stringify(JSON.parse(process.argv[1]).map((stats) => verdict(stats))));`

// The page says first what is true, and the worst first.
func TestVerdictOfThePage(t *testing.T) {
	t.Parallel()
	age := 0.02
	cases := []struct {
		change            func(*dashboard.Stats)
		state, text, says string
	}{
		{func(*dashboard.Stats) {}, "fresh", "Fresh", ""},
		{func(s *dashboard.Stats) { s.Listening = false }, "behind", "Not listening", "socket"},
		{func(s *dashboard.Stats) { s.Ending = true }, "behind", "About to end", "told to end"},
		{func(s *dashboard.Stats) {
			s.FollowerAgeSeconds, s.FollowerProblem = nil, "looker: connect to Postgres: no"
		}, "gone", "Postgres does not answer", "freshet doctor"},
		{func(s *dashboard.Stats) { s.FollowerAgeSeconds, s.FollowerProblem = nil, "role may not follow" }, "behind", "Late: reads go to Postgres", "role may not follow"},
		{func(s *dashboard.Stats) { late := 2.0; s.FollowerAgeSeconds = &late }, "behind", "Late: reads go to Postgres", "late"},
		{func(s *dashboard.Stats) { s.WatchedTables = 0 }, "behind", "Watching nothing", "freshet install"},
		{func(s *dashboard.Stats) { s.Redis = dashboard.Redis{State: dashboard.RedisRefusing, Refusal: "NOAUTH"} }, "behind", "Degraded: Redis refuses", "NOAUTH"},
		{func(s *dashboard.Stats) { s.Redis.State = dashboard.RedisDown }, "behind", "Degraded: Redis does not answer", "without it"},
		{func(s *dashboard.Stats) { s.WatchProblems, s.Problems = 2, []string{"public.a: no"} }, "behind", "2 problems with tables", "public.a: no"},
		{func(s *dashboard.Stats) { s.Verify.Results = map[string]uint64{"stale": 1} }, "gone", "Stale answers were found", "proven"},
		{func(s *dashboard.Stats) { old := 9.0; s.FollowerAgeSeconds, s.FollowerResting = &old, true }, "fresh", "Resting: nobody reads", ""},
		{func(s *dashboard.Stats) { old := 99.0; s.FollowerAgeSeconds, s.FollowerResting = &old, true }, "behind", "Late: reads go to Postgres", "99 seconds"},
		{func(s *dashboard.Stats) { s.Config.Problem = "no such key" }, "behind", "Fresh, with an older configuration", "no such key"},
		{func(s *dashboard.Stats) {
			s.WatchedTables, s.Redis.State, s.FollowerAgeSeconds = 0, dashboard.RedisDown, nil
		}, "behind", "Warming up: reads go to Postgres", "No look"},
	}
	readings := make([]dashboard.Stats, len(cases))
	for i, c := range cases {
		s := dashboard.Stats{Listening: true, StalenessSeconds: 1, FollowerAgeSeconds: &age, WatchedTables: 3, Redis: dashboard.Redis{State: dashboard.RedisUp}, Problems: []string{}}
		c.change(&s)
		s.NotReadyReason = dashboard.NotReady(&s)
		s.Ready = s.NotReadyReason == ""
		readings[i] = s
	}
	text, err := json.Marshal(readings)
	if err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs("../dashboard/page/verdict.js")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(askVerdict, "file://"+module)
	command := exec.CommandContext(t.Context(), "node", "--no-warnings", "--input-type=module", "-e", script, string(text))
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var verdicts []struct{ State, Text, Alarm, Command, Raw string }
	if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != len(cases) {
		t.Fatalf("%s, %v", out, err)
	}
	for i, got := range verdicts {
		want := cases[i]
		if got.State != want.state || got.Text != want.text || !strings.Contains(got.Alarm+got.Command+got.Raw, want.says) || (got.Alarm == "") != (want.state == "fresh") || (got.Command == "") != (want.state == "fresh") {
			t.Errorf("case %d: %+v, want %s %q with %q", i, got, want.state, want.text, want.says)
		}
	}
}
