package dashboard

import (
	"net/http"
	"strings"
	"testing"
)

func TestReadinessInDetail(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	src.change(func(s *Stats) {
		s.Socket, s.WatchedTables, s.WatchProblems = "/run/freshet/.s.PGSQL.6432", 40, 2
		s.Problems = []string{"public.a: column email is gone", "public.b: row security"}
		s.Redis = Redis{State: RedisRefusing, Refusal: "NOAUTH"}
	})
	for path, want := range map[string][]string{
		"/readyz": {"ready"},
		"/readyz?verbose": {
			"ready",
			"[ok] clients can connect to /run/freshet/.s.PGSQL.6432",
			"[ok] the last completed look at the outbox began 0.020 seconds ago; the bound is 1 s",
			"[ok] 40 tables are watched",
			"[problem] public.a: column email is gone",
			"[problem] public.b: row security",
			"[problem] Redis refuses what it is asked for: NOAUTH",
		},
	} {
		response, body := get(t, server, path)
		if response.StatusCode != http.StatusOK || body != strings.Join(want, "\n")+"\n" {
			t.Errorf("%s: %s\n%s", path, response.Status, body)
		}
	}

	src.change(func(s *Stats) {
		*s = Stats{Listening: true, FollowerProblem: "Postgres is out of reach", Redis: Redis{State: RedisOff}}
	})
	response, body := get(t, server, "/readyz?verbose")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if response.StatusCode != http.StatusServiceUnavailable || len(lines) != 4 ||
		!strings.HasPrefix(lines[0], "not ready: no look") || !strings.HasPrefix(lines[2], "[not ready] no look") || !strings.Contains(lines[2], "out of reach") ||
		!strings.HasPrefix(lines[3], "[problem] no table is watched") {
		t.Errorf("%s\n%s", response.Status, body)
	}
}
