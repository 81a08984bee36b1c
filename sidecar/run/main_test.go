package run_test

import (
	"cmp"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
	"github.com/freshet/freshet/sidecar/run"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true, Redis: true}))
}

// optionsFor are those of a sidecar before a database, with a socket of its own.
func optionsFor(t *testing.T, dsn string) run.Options {
	t.Helper()
	upstream, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "freshet") // leaves room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return run.Options{
		Upstream: run.Database{Config: upstream}, SocketDir: dir, Port: 6432, Admin: "127.0.0.1:0", Version: "test",
		MemoryBytes: 1 << 20, EntryMax: 1 << 16, Staleness: time.Second, Poll: 50 * time.Millisecond, TTL: time.Hour,
	}
}

// nowhere is a database that is not there.
const nowhere = "host=/nowhere user=u dbname=d"

// installed is a database with a table that is watched.
func installed(t *testing.T) (dsn string) {
	t.Helper()
	postgres := servers.SharedPostgres(t)
	dsn = postgres.DSN(postgres.CreateDatabase(t))
	conn := connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE fruit (id int PRIMARY KEY, name text); INSERT INTO fruit VALUES (1, 'apple')"); err != nil {
		t.Fatal(err)
	}
	install(t, conn, "public.*")
	return dsn
}

// install watches tables.
func install(t *testing.T, conn *pgx.Conn, pattern string) {
	t.Helper()
	if _, err := invalidation.Install(t.Context(), conn, invalidation.Options{Watch: []string{pattern}}); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return connectTo(t, c)
}

func connectTo(t *testing.T, c *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // its server may be gone
	return conn
}

// running runs a sidecar until end is called, or the test ends, and waits for its first
// look. ended receives what Run returns.
func running(t *testing.T, o run.Options) (s *run.Sidecar, end context.CancelFunc, ended <-chan error) {
	t.Helper()
	s, err := run.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	over := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		over <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-gone
	})
	<-s.Ready()
	// Ready waits for a bounded time only, and the machine may be busy.
	servers.Eventually(t, "the first look", func() bool { return s.Report().FollowerAgeSeconds != nil })
	return s, end, over
}

// isMisuse reports whether an error says that options make no sense.
func isMisuse(err error) bool {
	_, ok := errors.AsType[*run.MisuseError](err)
	return ok
}

// readyz asks whether clients should be sent to a sidecar.
func readyz(t *testing.T, s *run.Sidecar) (status int, says string) {
	t.Helper()
	return testkit.Get(t, "http://"+cmp.Or(s.MetricsAddress(), s.AdminAddress())+"/readyz")
}
