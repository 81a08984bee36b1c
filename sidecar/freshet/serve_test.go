package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/testkit"
	"github.com/freshet/freshet/sidecar/run"
)

// testConfig is a configuration with the defaults of the command line.
func testConfig(t *testing.T, dsn string, arguments ...string) config {
	t.Helper()
	c, err := parseServe(t, append([]string{"--upstream", dsn, "--socket-dir", shortDir(t), "--admin", "127.0.0.1:0"}, arguments...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs a sidecar in this process, until it is ready or says what is in the way.
func start(t *testing.T, c config) *run.Sidecar {
	t.Helper()
	s := begin(t, c)
	<-s.Ready()
	// Ready waits for a bounded time only, and the machine may be busy.
	eventually(t, func() string {
		if r := s.Report(); r.FollowerAgeSeconds == nil && r.FollowerProblem == "" {
			return "the follower has neither looked nor failed"
		}
		return ""
	})
	return s
}

// startWatching is start where there is a table to watch: the first look may come before the last
// of its triggers.
func startWatching(t *testing.T, c config) *run.Sidecar {
	t.Helper()
	s := start(t, c)
	eventually(t, func() string {
		if s.Report().WatchedTables == 0 {
			return "no table is watched"
		}
		return ""
	})
	return s
}

// startWithoutPostgres runs a sidecar whose Postgres is not there, until it serves and has
// failed to follow: the time that Ready gives a first look would be waited for in vain.
func startWithoutPostgres(t *testing.T, c config) *run.Sidecar {
	t.Helper()
	s := begin(t, c)
	eventually(t, func() string {
		if r := s.Report(); !r.Listening || r.FollowerProblem == "" {
			return "the sidecar does not listen, or has not failed to follow"
		}
		return ""
	})
	return s
}

// begin runs a sidecar in this process until the test ends.
func begin(t *testing.T, c config) *run.Sidecar {
	t.Helper()
	s, err := c.sidecar(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// client connects through a sidecar.
func client(t *testing.T, s *run.Sidecar) *pgx.Conn {
	t.Helper()
	return connect(t, s.ClientConfig())
}

func connect(t *testing.T, c *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// eventually waits, for a bounded time, until condition says "".
func eventually(t *testing.T, condition func() string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		complaint := condition()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func readyz(t *testing.T, s *run.Sidecar) (int, string) {
	t.Helper()
	return testkit.Get(t, "http://"+s.AdminAddress()+"/readyz")
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	c := testConfig(t, pg.DSN(pg.CreateDatabase(t)), "--watch", "public.*")
	start(t, c)
	_, err := c.sidecar(nil)
	if err == nil || !strings.Contains(err.Error(), "another sidecar") || !strings.Contains(err.Error(), "--socket-dir") {
		t.Errorf("error %v", err)
	}
}

func TestAdminPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, stdout, stderr := freshet(t, "serve", "--socket-dir", shortDir(t), "--upstream", "host=/nowhere user=u", "--admin", taken.Addr().String())
	if code != exitFailure || stdout != "" || !strings.Contains(stderr, "another program uses it") || !strings.Contains(stderr, "--admin off") {
		t.Errorf("exit code %d, output %q, error %q", code, stdout, stderr)
	}
}

func TestAdminOff(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	c := testConfig(t, pg.DSN(pg.CreateDatabase(t)), "--watch", "public.*")
	c.Admin = "off"
	if s := start(t, c); s.AdminAddress() != "" {
		t.Errorf("listens on %q", s.AdminAddress())
	}
}

func TestTwoSidecarsInOneProcessShareRedis(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"plain":                 nil,
		"compressed and sealed": {"--redis-compress", "--redis-key-file", keyFile(t, oneKey)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			twoSidecarsShareRedis(t, flags)
		})
	}
}

// twoSidecarsShareRedis has the second of two sidecars answer what the first has put into Redis, and
// both show a change.
func twoSidecarsShareRedis(t *testing.T, flags []string) {
	pg, rd := servers.SharedPostgres(t), servers.SharedRedis(t)
	flags = append(flags, "--redis", rd.URL(), "--redis-policy", "always", "--watch", "public.*")
	dsn := pg.DSN(pg.CreateDatabase(t))
	direct, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(context.Background())
	if _, err := direct.Exec(t.Context(), "CREATE TABLE fruit (id int PRIMARY KEY, name text); INSERT INTO fruit SELECT id, 'apple' FROM generate_series(1, 100000) id"); err != nil {
		t.Fatal(err)
	}
	first := start(t, testConfig(t, dsn, flags...))
	second := start(t, testConfig(t, dsn, flags...))
	eventually(t, func() string {
		if n := second.Report().WatchedTables; n != 1 {
			return "the table is not watched by the second sidecar"
		}
		return ""
	})
	row := func(conn *pgx.Conn, id int) (name string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = $1", id).Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	read := func(conn *pgx.Conn) string { return row(conn, 1) }
	one, other := client(t, first), client(t, second)
	eventually(t, func() string {
		if got := read(one); got != "apple" {
			t.Fatalf("read %q", got)
		}
		if first.Report().Queries["hit_l1"] == 0 {
			return "the first sidecar never hits"
		}
		return ""
	})
	// An entry is published as soon as a look has settled it. The second sidecar is asked once for each
	// row, some time after the first: what it loads by itself is no hit then.
	const behind = 50
	id := 1
	eventually(t, func() string {
		id++
		row(one, id)
		if id <= behind {
			return "the first sidecar has read little"
		}
		if got := row(other, id-behind); got != "apple" {
			t.Fatalf("the second sidecar says %q, want apple", got)
		}
		if r := second.Report(); r.Queries["hit_l2"] == 0 {
			return fmt.Sprintf("the second sidecar finds nothing in Redis: %v", r.Queries)
		}
		return ""
	})
	read(other)
	if _, err := direct.Exec(t.Context(), "UPDATE fruit SET name = 'pear' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	written := time.Now()
	for _, conn := range []*pgx.Conn{one, other} {
		for asked := time.Now(); read(conn) != "pear"; asked = time.Now() {
			// It is the beginning of a read that counts, however long it takes.
			if asked.Sub(written) > time.Second {
				t.Fatal("a read is staler than promised")
			}
		}
	}
	eventually(t, func() string { // the read may have been Postgres' to answer, and Redis late a moment ago
		report := first.Report()
		if report.InvalidationEvents == 0 || report.Redis.State != dashboard.RedisUp || report.FollowerAgeSeconds == nil || report.Head == "" || report.Incarnation == "" {
			return fmt.Sprintf("report %+v", report)
		}
		return ""
	})
}

func TestServingWithoutPostgresRecovers(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	dsn := pg.DSN("postgres")
	if err := pg.Stop(servers.Fast); err != nil {
		t.Fatal(err)
	}
	s := startWithoutPostgres(t, testConfig(t, dsn, "--watch", "public.*", "--redis", "unix:///nowhere/redis.sock"))
	if status, body := readyz(t, s); status != http.StatusServiceUnavailable || !strings.Contains(body, "no look at the outbox has completed yet") {
		t.Errorf("readyz: %d %s", status, body)
	}
	if conn, err := pgx.ConnectConfig(t.Context(), s.ClientConfig()); err == nil {
		_ = conn.Close(context.Background())
		t.Error("a client was let in without a Postgres")
	}
	installed := make(chan string, 1)
	go func() {
		code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--wait", "1h")
		installed <- fmt.Sprint(code, " ", stdout, stderr)
	}()
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	if said := <-installed; !strings.HasPrefix(said, fmt.Sprint(exitOK, " ")) || !strings.Contains(said, "public.*") {
		t.Errorf("an installation that waits for Postgres ends with exit code %s", said)
	}
	eventually(t, func() string {
		if status, body := readyz(t, s); status != http.StatusOK {
			return body
		}
		return ""
	})
	var two int
	if err := client(t, s).QueryRow(t.Context(), "SELECT 1 + 1").Scan(&two); err != nil || two != 2 {
		t.Errorf("%d, error %v", two, err)
	}
}

func TestReadyLineQuotes(t *testing.T) {
	t.Parallel()
	c := testConfig(t, "host=/nowhere user=o'hara dbname='my shop'")
	s, err := c.sidecar(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(c.SocketDir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := psqlCommand(s), "psql -h "+dir+` -p 6432 -d 'my shop' -U 'o'\''hara'`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
