package dashboard

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// What /readyz?verbose says in words it says as JSON to who asks for that, with the same
// status.
func TestReadinessAsJSON(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	for _, ready := range []bool{true, false} {
		if !ready {
			src.change(func(s *Stats) { s.Listening = false })
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Address()+"/readyz?verbose", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "application/json")
		response, answer := testkit.Ask(t, request)
		var said struct {
			Ready  bool
			Checks []readyCheck
		}
		if err := json.Unmarshal([]byte(answer), &said); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		status := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[ready]
		if response.StatusCode != status || response.Header.Get("Content-Type") != "application/json" || said.Ready != ready {
			t.Errorf("ready %v: %s, %s, %+v", ready, response.Status, response.Header.Get("Content-Type"), said)
		}
		_, text := get(t, server, "/readyz?verbose")
		for _, check := range said.Checks {
			if !strings.Contains(text, "\n["+check.State+"] "+check.Text+"\n") {
				t.Errorf("%+v is not said in words:\n%s", check, text)
			}
		}
		if n := strings.Count(text, "\n["); n != len(said.Checks) || n == 0 {
			t.Errorf("%d checks in words, and %d as JSON", n, len(said.Checks))
		}
	}
}

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
