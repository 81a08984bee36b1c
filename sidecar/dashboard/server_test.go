package dashboard

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	pathpkg "path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// source is a sidecar whose reading a test chooses.
type source struct {
	mu    sync.Mutex
	stats Stats
}

func (s *source) read() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *source) change(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// setup runs a server for a source that is ready.
func setup(t *testing.T) (*source, *Server) {
	t.Helper()
	age := 0.02
	src := &source{stats: Stats{
		Version: "v1.2.3", Listening: true, StalenessSeconds: 1, FollowerAgeSeconds: &age,
		Queries:  map[string]uint64{"hit_l1": 7, "miss": 2, "bypass": 3},
		Bypasses: map[string]uint64{"unwatched_table": 3},
		Redis:    Redis{State: RedisUp},
	}}
	server, err := New(Options{Address: "127.0.0.1:0", StatsFunc: src.read})
	if err != nil {
		t.Fatal(err)
	}
	runServer(t, server)
	return src, server
}

// runServer answers until the function returned is called, or the test ends.
func runServer(t *testing.T, server *Server) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

// get asks the server, under its own name unless another is given.
func get(t *testing.T, s *Server, path string, host ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(host) > 0 {
		request.Host = host[0]
	}
	return testkit.Ask(t, request)
}

func TestStatsShape(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	response, body := get(t, server, "/api/v1/stats")
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"access_dropped", "access_lines", "analysis", "bypass_advice", "bypass_docs", "bypass_examples", "bypass_rules", "bypass_seconds", "bypasses", "cancels", "client_groups", "clients", "config", "database", "databases", "ending", "fleet",
		"follower_age_p99_seconds", "follower_age_seconds", "follower_looks", "follower_notifications", "follower_parts", "follower_problem", "follower_reconnects", "follower_reset_causes", "follower_resets", "follower_resting", "happened", "head", "hints", "incarnation",
		"install_problem", "invalidated_entries", "invalidation_events", "invalidation_kinds", "l1", "leases", "listening", "misses", "not_ready_reason", "outbox", "panics", "pooling_problem", "postgres", "problems",
		"protocol_errors", "queries", "ready", "redis", "refused_at_end", "refused_by_files", "refused_by_limit", "refused_by_peer", "refused_by_postgres", "refused_by_user", "refused_for_password", "refused_unreachable", "resident_bytes", "revision",
		"saved_seconds", "session_list", "session_states", "sessions", "sessions_refused", "sessions_total", "shapes", "shapes_known", "shapes_passed", "socket", "staleness_seconds", "switched_off", "tables_lost",
		"tables_written", "times", "transactions_held", "transactions_opened", "upstream_connections", "upstream_probes", "upstream_queries", "uptime_seconds", "verify", "version", "warm_refused", "warmed", "warmed_read", "watch_problems", "watched",
		"watched_tables", "written", "written_rest",
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("fields\n got %q\nwant %q", keys, want)
	}
	queries := got["queries"].(map[string]any)
	for _, outcome := range []string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass", "error"} {
		if _, ok := queries[outcome]; !ok {
			t.Errorf("outcome %s is missing", outcome)
		}
	}
	if queries["hit_l1"] != 7.0 || got["ready"] != true || got["version"] != "v1.2.3" {
		t.Errorf("values are not the source's: %s", body)
	}
	for _, list := range []string{"watched", "problems", "fleet", "clients", "session_list", "written", "shapes_passed", "happened"} {
		if _, ok := got[list].([]any); !ok {
			t.Errorf("%s is %v, want an empty list", list, got[list])
		}
	}
}

// Each list is as long as its bound at most. What is counted is told all the same.
func TestStatsListsAreCut(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	const more = 5
	src.change(func(s *Stats) {
		s.WatchedTables, s.Watched = WatchedMax+more, make([]Table, WatchedMax+more)
		s.WatchProblems, s.Problems = ProblemsMax+more, make([]string, ProblemsMax+more)
		s.ShapesKnown, s.Shapes = ShapesMax+more, make([]Shape, ShapesMax+more)
		s.ShapesPassed = make([]Shape, ShapesPassedMax+more)
		s.ClientGroups, s.Clients = ClientGroupsMax+more, make([]ClientGroup, ClientGroupsMax+more)
		s.SessionList = make([]Session, SessionListMax+more)
		s.TablesWritten, s.Written = WrittenMax+more, make([]TableWrites, WrittenMax+more)
		s.Redis.Shapes = make([]RedisShape, ShapesMax+more)
	})
	_, body := get(t, server, "/api/v1/stats")
	var got Stats
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string]struct{ listed, most int }{
		"watched":         {len(got.Watched), WatchedMax},
		"problems":        {len(got.Problems), ProblemsMax},
		"shapes":          {len(got.Shapes), ShapesMax},
		"shapes_passed":   {len(got.ShapesPassed), ShapesPassedMax},
		"clients":         {len(got.Clients), ClientGroupsMax},
		"session_list":    {len(got.SessionList), SessionListMax},
		"written":         {len(got.Written), WrittenMax},
		"shapes of redis": {len(got.Redis.Shapes), ShapesMax},
	} {
		if list.listed != list.most {
			t.Errorf("%s: %d are listed, want %d", name, list.listed, list.most)
		}
	}
	for name, count := range map[string]struct{ counted, want int }{
		"watched_tables": {got.WatchedTables, WatchedMax + more},
		"watch_problems": {got.WatchProblems, ProblemsMax + more},
		"shapes_known":   {got.ShapesKnown, ShapesMax + more},
		"client_groups":  {got.ClientGroups, ClientGroupsMax + more},
		"tables_written": {got.TablesWritten, WrittenMax + more},
	} {
		if count.counted != count.want {
			t.Errorf("%s: %d are counted, want %d", name, count.counted, count.want)
		}
	}
}

func TestReadinessFollowsTheFollower(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	age := func(seconds float64) func(*Stats) { return func(s *Stats) { s.FollowerAgeSeconds = &seconds } }
	for _, step := range []struct {
		name   string
		change func(*Stats)
		status int
		says   string
	}{
		{"at first", func(s *Stats) { s.FollowerAgeSeconds, s.FollowerProblem = nil, "Postgres is down" }, 503, "no look at the outbox has completed yet, so every read goes to Postgres; the last problem was: Postgres is down"},
		{"after a look", func(s *Stats) { age(0.1)(s); s.FollowerProblem = "" }, 200, "ready"},
		{"a little late", age(4), 200, "ready"},
		{"late", age(9), 503, "began 9 seconds ago"},
		{"late, and allowed to be", func(s *Stats) { s.StalenessSeconds = 30 }, 200, "ready"},
		{"watching nothing", func(s *Stats) { s.WatchedTables = 0 }, 200, "ready"},
		{"not listening", func(s *Stats) { s.Listening = false }, 503, "socket for clients is not open"},
		{"about to end", func(s *Stats) { s.Ending = true }, 503, "told to end"},
	} {
		src.change(step.change)
		response, body := get(t, server, "/readyz")
		if response.StatusCode != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s: %d %q, want %d and %q", step.name, response.StatusCode, body, step.status, step.says)
		}
		if response, _ := get(t, server, "/livez"); response.StatusCode != 200 {
			t.Errorf("%s: livez says %d", step.name, response.StatusCode)
		}
	}
}

func TestHostsOtherThanLoopbackAreRefused(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	for host, status := range map[string]int{
		"localhost": 200, "localhost:7070": 200, "127.0.0.1:1": 200, "127.8.8.8": 200, "[::1]:7070": 200, "[::1]": 200, "[::ffff:127.0.0.1]": 200,
		"evil.example": 421, "evil.example:7070": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "0.0.0.0:7070": 421, "[::2]": 421, "[]": 421,
	} {
		for _, path := range []string{"/", "/api/v1/stats", "/metrics"} {
			if response, _ := get(t, server, path, host); response.StatusCode != status {
				t.Errorf("%s under %q: %d, want %d", path, host, response.StatusCode, status)
			}
		}
	}
}

func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	seen := map[string]bool{}
	queue := []string{"/"}
	links := regexp.MustCompile(`(?:src|href)="([^"#]+)"|(?:from|import\() ?"(\.[^"]+)"`)
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		response, body := get(t, server, path)
		if response.StatusCode != 200 {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
		if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), "://") && !strings.HasPrefix(path, "/api") && path != "/metrics" {
			t.Errorf("%s refers to another place", path)
		}
		if strings.Contains(body, "style=\"") || strings.Contains(body, "onclick=") {
			t.Errorf("%s holds inline code, which its policy forbids", path)
		}
		for _, link := range links.FindAllStringSubmatch(body, -1) {
			next := "/" + link[1]
			if link[2] != "" {
				next = pathpkg.Join(pathpkg.Dir(path), link[2])
			}
			if !strings.Contains(next, "/built/") { // which need not be there
				queue = append(queue, next)
			}
		}
	}
	for _, path := range []string{"/page.js", "/chart.js", "/format.js", "/feed.js", "/panels/tiles.js", "/uplotpainter.js", "/page.css", "/icon.svg"} {
		if !seen[path] {
			t.Errorf("the page does not load %s", path)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post("http://"+server.Address()+"/api/v1/stats", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", response.StatusCode)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	_, first := setup(t)
	_, err := New(Options{Address: first.Address(), StatsFunc: func() Stats { return Stats{} }})
	if err == nil || !strings.Contains(err.Error(), "another program uses it") || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("error %v", err)
	}
}

// The figures are read before anything is served, however late the goroutine comes that keeps the
// history, so that what is counted from then on is of an interval.
func TestHistoryBegins(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T, func() Stats) *history{
		"a library's": func(t *testing.T, read func() Stats) *history {
			e := NewEmbedded(Options{StatsFunc: read})
			t.Cleanup(e.Close)
			return e.server.history
		},
		"a sidecar's": func(t *testing.T, read func() Stats) *history {
			return begun(t, Options{StatsFunc: read}).history
		},
		"a further database's": func(t *testing.T, read func() Stats) *history {
			nothing := func() Stats { return Stats{} }
			return begun(t, Options{StatsFunc: nothing, Databases: []Database{{Name: "other", StatsFunc: read}}}).databases["other"].history
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := &source{}
			var readings atomic.Int64
			h := begin(t, func() Stats { readings.Add(1); return src.read() })
			if readings.Load() == 0 {
				t.Fatal("it has begun, and nobody has read the figures")
			}
			src.change(func(s *Stats) { s.Queries = map[string]uint64{"hit_l1": 100} })
			servers.Eventually(t, "an interval has what was counted since", func() bool {
				return slices.ContainsFunc(column(t, h, "15m", "hit_l1"), func(v value) bool { return v > 0 })
			})
		})
	}
}

// begun is a server that has begun, and only then runs.
func begun(t *testing.T, o Options) *Server {
	t.Helper()
	o.Address = "127.0.0.1:0"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Begin()
	runServer(t, s)
	return s
}

func TestHistoryFillsWhileRunning(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	deadline := time.Now().Add(servers.EventuallyMax)
	for {
		src.change(func(s *Stats) {
			s.Queries = maps.Clone(s.Queries)
			s.Queries["hit_l1"] += 100
		})
		_, body := get(t, server, "/api/v1/history")
		var got History
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if column := got.Series["hit_l1"]; len(column) > 0 && column[len(column)-1] > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no sample: %s", body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
