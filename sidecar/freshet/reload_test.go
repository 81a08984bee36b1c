package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/run"
)

// reloading returns what a test reloads a sidecar with.
func reloading(s *run.Sidecar, c config) *reloader {
	return &reloader{sidecar: s, logger: slog.New(slog.DiscardHandler), level: new(slog.LevelVar), inForce: c}
}

func TestReloadChangesAllOrNothing(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	c := testConfig(t, dsn, "--watch", "public.*")
	s := start(t, c)
	r := reloading(s, c)
	reload := func(change func(*config), readError error) ([]string, error) {
		wanted := c
		change(&wanted)
		r.read = func() (config, error) { return wanted, readError }
		return r.reload(t.Context())
	}
	for _, refused := range []struct {
		says string
		with func(*config)
		read error
	}{
		{"a broken file", func(*config) {}, errors.New("a broken file")},
		{"--ttl 1ms is too short", func(c *config) { c.TTL = time.Millisecond }, nil},
		{"change --memory, --redis", func(c *config) { c.Memory, c.Redis = 8<<20, "redis://h" }, nil},
		{"is not of the form", func(c *config) { c.Function = functionList{{Signature: "none"}} }, nil},
	} {
		_, err := reload(func(c *config) { c.Staleness = 5 * time.Second; refused.with(c) }, refused.read)
		if err == nil || !strings.Contains(err.Error(), refused.says) || !strings.Contains(s.Report().Config.Problem, refused.says) {
			t.Errorf("error %v, want %q; reported %q", err, refused.says, s.Report().Config.Problem)
		}
		if got := s.Report().StalenessSeconds; got != 1 {
			t.Fatalf("%s: the staleness is %v s all the same", refused.says, got)
		}
	}
	changed, err := reload(func(c *config) { c.Staleness, c.TTL, c.MaxEntry = 5*time.Second, 2*time.Hour, 2<<20 }, nil)
	if err != nil || fmt.Sprint(changed) != "[max-entry staleness ttl]" {
		t.Errorf("changed %v, error %v", changed, err)
	}
	if r := s.Report(); r.StalenessSeconds != 5 || r.Config.Problem != "" || r.Config.Reloads != 1 || r.Config.Failures != 4 {
		t.Errorf("a staleness of %v s, %+v", r.StalenessSeconds, r.Config)
	}
}

// What was answered under a declaration that is taken back, or made right, is answered
// no more.
func TestReloadOfFunctionsEndsWhatRestedOnThem(t *testing.T) {
	dsn, direct := setupFruit(t)
	const define = "CREATE FUNCTION fruits() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM public.fruit); END'"
	if _, err := direct.Exec(t.Context(), define); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, dsn, "--watch", "public.*", "--function", "public.fruits()=pure", "--staleness", "1m", "--verify", "0") // however late it looks
	s := start(t, c)
	r := reloading(s, c)
	conn := client(t, s)
	count := func() (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT public.fruits()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, func() string {
		if count(); s.Report().Queries["hit_l1"] == 0 {
			return "never hits"
		}
		return ""
	})
	if _, err := direct.Exec(t.Context(), "INSERT INTO fruit VALUES (3, 'pear')"); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2 {
		t.Fatalf("read %d: the wrong declaration should have kept the old answer", n)
	}
	c.Function = functionList{analysis.Function{Signature: "public.fruits()", Tables: []string{"public.fruit"}}}
	r.read = func() (config, error) { return c, nil }
	if _, err := r.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 3 {
		t.Errorf("read %d after the declaration was made right", n)
	}
	hits := s.Report().Queries["hit_l1"]
	eventually(t, func() string {
		if count(); s.Report().Queries["hit_l1"] == hits {
			return "never hits again"
		}
		return ""
	})
	if _, err := direct.Exec(context.Background(), "INSERT INTO fruit VALUES (4, 'fig')"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if n := count(); n != 4 {
			return fmt.Sprintf("still read %d", n)
		}
		return ""
	})
}

func TestReloadOfFunctionsWithoutPostgresChangesNothing(t *testing.T) {
	t.Parallel()
	c := testConfig(t, "host=/nowhere user=u")
	s := startWithoutPostgres(t, c)
	wanted := c
	wanted.Staleness = 5 * time.Second
	wanted.Function = functionList{analysis.Function{Signature: "a.f()"}}
	r := reloading(s, c)
	r.read = func() (config, error) { return wanted, nil }
	if _, err := r.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("error %v", err)
	}
	if r := s.Report(); r.StalenessSeconds != 1 {
		t.Errorf("a staleness of %v s", r.StalenessSeconds)
	}
}

// Which users may connect is read again: names and numbers, and a name that nobody has
// changes nothing.
func TestReloadOfAllowedUsers(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	own, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, dsn, "--watch", "public.*", "--allow-uids", own.Username)
	s := start(t, c)
	client(t, s)
	r := reloading(s, c)
	reload := func(users ...string) error {
		c.AllowUids = users
		r.read = func() (config, error) { return c, nil }
		_, err := r.reload(t.Context())
		return err
	}
	if err := reload("4000000001"); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.ConnectConfig(t.Context(), s.ClientConfig()); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a user is let in that is not on the list")
	} else if !strings.Contains(err.Error(), "28000") {
		t.Errorf("refused with %v", err)
	}
	if n := s.Report().RefusedByUser; n != 1 {
		t.Errorf("%d refused", n)
	}
	if err := reload("no-such-user"); err == nil || !strings.Contains(err.Error(), `no user "no-such-user"`) {
		t.Errorf("error %v", err)
	}
	if err := reload("4000000001", own.Uid); err != nil {
		t.Fatal(err)
	}
	client(t, s)
}

// The token is read again, also where its file has the same name: who has the one before is
// refused, and the stream that it opened ends. One that is none changes nothing.
func TestReloadOfToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const first, second = "0123456789abcdef", "fedcba9876543210"
	write(first)
	c := testConfig(t, "host=/nowhere user=u", "--admin-token-file", file)
	s := startWithoutPostgres(t, c)
	r := reloading(s, c)
	r.read = func() (config, error) { return c, nil }
	ask := func(path, token string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.AdminAddress()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	status := func(token string) int {
		t.Helper()
		response := ask("/api/v1/stats", token)
		response.Body.Close()
		return response.StatusCode
	}
	stream := ask("/api/v1/stream", first)
	defer stream.Body.Close()
	for _, step := range []struct {
		token, changed, problem string
		first, second           int
	}{
		{first, "[]", "", http.StatusOK, http.StatusUnauthorized},
		{"short", "[]", "write one line with 16", http.StatusOK, http.StatusUnauthorized},
		{second, "[admin-token-file]", "", http.StatusUnauthorized, http.StatusOK},
	} {
		write(step.token)
		changed, err := r.reload(t.Context())
		if fmt.Sprint(changed) != step.changed || (err == nil) != (step.problem == "") || err != nil && !strings.Contains(err.Error(), step.problem) {
			t.Errorf("%s: changed %v, error %v", step.token, changed, err)
		}
		if a, b := status(first), status(second); a != step.first || b != step.second {
			t.Errorf("%s: the first token is answered %d, the second %d", step.token, a, b)
		}
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream of the first token ends with %v", err)
	}
}

// How long clients may go on is what was read last when the sidecar is told to end.
func TestReloadOfDrain(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	c := testConfig(t, dsn, "--drain", "1h", "--drain-delay", "1h")
	s, err := c.sidecar(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	conn := client(t, s)
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(3600)")
		answered <- err
	}()
	eventually(t, func() string {
		var sleeping bool
		if err := direct.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()").Scan(&sleeping); err != nil || !sleeping {
			return fmt.Sprint("the statement does not reach Postgres: ", err)
		}
		return ""
	})
	r := reloading(s, c)
	c.Drain, c.DrainDelay = 10*time.Millisecond, 0
	r.read = func() (config, error) { return c, nil }
	if changed, err := r.reload(t.Context()); err != nil || fmt.Sprint(changed) != "[drain drain-delay]" {
		t.Errorf("changed %v, error %v", changed, err)
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "57014") && !strings.Contains(err.Error(), "57P01") {
		t.Errorf("the client was told %v", err)
	}
}
