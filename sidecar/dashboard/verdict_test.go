package dashboard

import (
	"encoding/json"
	"strings"
	"testing"
)

// Of each state the right thing is said first, by top and by the page, which is sent it.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const doctor, install = "freshet doctor", "freshet install --watch 'public.*'"
	for _, test := range []struct {
		change               func(*Stats)
		state, text, command string
		alarm                string // a part of it
	}{
		{func(*Stats) {}, "fresh", "Fresh", "", ""},
		{func(s *Stats) { s.FollowerResting, s.FollowerAgeSeconds = true, new(20.0) }, "fresh", "Resting: nobody reads", "", ""},
		{func(s *Stats) { s.Listening = false }, "behind", "Not listening", doctor, "The socket for clients is not open."},
		{func(s *Stats) { s.Ending = true }, "behind", "About to end", "freshet serve", "The sidecar was told to end"},
		{func(s *Stats) {
			s.FollowerAgeSeconds, s.FollowerProblem = new(3.0), "looker: connect to Postgres: connection refused"
		}, "gone", "Postgres does not answer", doctor, "Queries fail"},
		{func(s *Stats) { s.Verify.Results = map[string]uint64{"stale": 2} }, "gone", "Stale answers were found", "freshet stats", "2 of the compared answers"},
		{func(s *Stats) { s.FollowerAgeSeconds = nil }, "behind", "Warming up: reads go to Postgres", doctor, "No look at the outbox"},
		{func(s *Stats) { s.FollowerAgeSeconds, s.FollowerProblem = nil, "nothing is installed" }, "behind", "Late: reads go to Postgres", doctor, "nothing is installed."},
		{func(s *Stats) { s.FollowerAgeSeconds = new(2.0) }, "behind", "Late: reads go to Postgres", doctor, "The follower is late"},
		{func(s *Stats) { s.PoolingProblem = "the pooler shares servers" }, "behind", "Clients share servers: reads go to Postgres", doctor, "The pooler shares servers."},
		{func(s *Stats) { s.InstallProblem, s.WatchedTables = "what is installed is older", 0 }, "behind", "Nothing is cached: install again", install, "What is installed is older."},
		{func(s *Stats) { s.InstallProblem, s.NeverInstalled = "what is installed is older", true }, "behind", "Nothing is cached: install again", install, "What is installed is older."},
		{func(s *Stats) { s.SwitchedOff = true }, "behind", "Switched off", "freshet bypass off", "Every statement goes to Postgres"},
		{func(s *Stats) { s.WatchedTables = 0 }, "behind", "Watching nothing", install, "No table is watched"},
		{func(s *Stats) { s.Redis.State, s.Redis.Refusal = "refusing", "NOAUTH" }, "behind", "Degraded: Redis refuses", doctor, "It says: NOAUTH"},
		{func(s *Stats) { s.Redis.State = "down" }, "behind", "Degraded: Redis does not answer", doctor, "Reads go on without it"},
		{func(s *Stats) { s.WatchProblems, s.Problems = 1, []string{"public.a: no longer watched"} }, "behind", "1 problem with tables", doctor, "public.a: no longer watched"},
		{func(s *Stats) { s.WatchProblems, s.Problems = 2, []string{"one", "two"} }, "behind", "2 problems with tables", doctor, "one"},
		{func(s *Stats) { s.FollowerResting, s.FollowerAgeSeconds = true, new(99.0) }, "behind", "Late: reads go to Postgres", doctor, "99 seconds"},
		{func(s *Stats) { s.WatchedTables, s.Redis.State, s.FollowerAgeSeconds = 0, "down", nil }, "behind", "Warming up: reads go to Postgres", doctor, "No look"}, // the worst first
		{func(s *Stats) { s.Config.Problem = "line 3" }, "behind", "Fresh, with an older configuration", "freshet config check", "line 3"},
	} {
		stats := Stats{Listening: true, WatchedTables: 1, FollowerAgeSeconds: new(0.1), StalenessSeconds: 1}
		test.change(&stats)
		stats.JudgeReadiness()
		v := stats.Verdict()
		if v.State != test.state || v.Text != test.text || v.Command != test.command || !strings.Contains(v.Alarm, test.alarm) || (v.Alarm == "") != (test.alarm == "") {
			t.Errorf("%q is said: %+v", test.text, v)
		}
		for _, library := range []bool{false, true} {
			want := v
			if library && (v.Command == doctor || v.Command == serveCommand) {
				want.Command = ""
			}
			page := Server{options: Options{library: library}}
			var sent shown
			if err := json.Unmarshal(page.fields(stats)["shown"], &sent); err != nil || sent.Verdict != want || sent.InTime != stats.isFresh() {
				t.Errorf("the page of a library (%v) is sent %+v of %+v: %v", library, sent, want, err)
			}
		}
	}
	stale := &StaleAnswer{Statement: "SELECT a FROM b", Tables: []string{"shop.b", "shop.c"}}
	stats := Stats{Listening: true, FollowerAgeSeconds: new(0.1), StalenessSeconds: 1, Verify: Verification{Results: map[string]uint64{"stale": 1}, LastStale: stale}}
	if v := stats.Verdict(); v.Raw != "SELECT a FROM b (shop.b, shop.c)" {
		t.Errorf("what was stale is told as %q", v.Raw)
	}
}
