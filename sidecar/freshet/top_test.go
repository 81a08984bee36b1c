package main

import (
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
	if text := top.screen(&now, &before, "here"); strings.Contains(text, "not_select") || !strings.Contains(text, "volatile") {
		t.Errorf("what was not asked for is shown, or what was asked for is not:\n%s", text)
	}
}

func TestTopAsksASidecar(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*"))
	if code, stdout, stderr := freshet(t, "top", "--admin", s.AdminAddress(), "--once", "--interval", "100ms"); code != exitOK || !strings.Contains(stdout, "PASSED THROUGH") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := freshet(t, "top", "--admin", s.AdminAddress(), "--interval", "1ms"); code != exitUsage {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
