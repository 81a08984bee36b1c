package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/accesslog"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// testbed is a database with Freshet installed, and any number of sidecars that lead to it. The fields
// between direct and sides are for tests to set before they call sidecar.
type testbed struct {
	t        testing.TB
	postgres *servers.Postgres
	database string
	direct   *pgx.Conn // to Postgres itself
	// peer, unless nil, says in place of the kernel who the clients of the next sidecars are.
	// passwordless says which role each may be without a password.
	peer         peerFunc
	passwordless Passwordless
	// listenTCP and tls are Options of the next sidecars.
	listenTCP string
	tls       *tls.Config
	// upstream, unless nil, is the server that the clients of the next sidecars are connected to.
	upstream *pgconn.Config
	// log, unless nil, takes the log records of the next sidecars.
	log *slog.Logger
	// access, unless nil, is the access log of the next sidecars.
	access *accesslog.Log
	// steadyRoles is analysis.Options.SteadyRoles of the next sidecars.
	steadyRoles bool
	// warmFrom is Options.WarmFrom of the next sidecars. warmPatience, unless 0, is the least that
	// their clients wait for a load that they have not asked for (warmPatienceMin), and warmIdleWait,
	// unless 0, how long such a load waits for an idle session.
	warmFrom, warmPatience, warmIdleWait time.Duration
	// faults, unless nil, stands between the sessions of the next sidecar and its
	// follower.
	faults *faultyFollower
	// sides are the sidecars that were started, until the test ends.
	sides []*side
}

// newTestbed makes a database with the given schema on a shared server, and watches all its tables.
// The databases of one schema are copies of one that was filled.
func newTestbed(t testing.TB, schema string) *testbed {
	t.Helper()
	return newCopiedTestbed(t, servers.SharedPostgres(t), schema, "public.*")
}

// newRolesTestbed is newTestbed for tests that make, change or drop roles, which all databases of the
// server share: a role that the schema makes may be there already.
func newRolesTestbed(t testing.TB, schema string) *testbed {
	t.Helper()
	return newCopiedTestbed(t, servers.SharedPostgresOfRoles(t), schema, "public.*")
}

// newCopiedTestbed is newTestbed on the shared server pg, where the patterns of watch name the
// tables that are watched.
func newCopiedTestbed(t testing.TB, pg *servers.Postgres, schema string, watch ...string) *testbed {
	t.Helper()
	return newBed(t, pg, func(pg *servers.Postgres) string {
		return pg.FilledDatabase(t, fmt.Sprint(watch, schema), func(dsn string) error { return fillBed(dsn, schema, watch...) })
	})
}

// newTestbedOn is newTestbed on the server pg, with a database that is filled and not copied.
func newTestbedOn(t testing.TB, pg *servers.Postgres, schema string) *testbed {
	t.Helper()
	return newBed(t, pg, func(pg *servers.Postgres) string {
		database := pg.CreateDatabase(t)
		if err := fillBed(pg.DSN(database), schema, "public.*"); err != nil {
			t.Fatal(err)
		}
		return database
	})
}

// newBed makes a testbed of the database that the function makes.
func newBed(t testing.TB, pg *servers.Postgres, database func(*servers.Postgres) string) *testbed {
	t.Helper()
	b := &testbed{t: t, postgres: pg}
	t.Cleanup(b.forget) // runs last, after all other cleanups of the bed
	b.database = database(pg)
	b.direct = b.connect(pg.DSN(b.database))
	return b
}

// fillBed executes the SQL of a schema, and installs Freshet to watch the tables that the patterns of
// watch name.
func fillBed(dsn, schema string, watch ...string) error {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), schema); err != nil {
		return fmt.Errorf("%s: %w", schema, err)
	}
	_, err = invalidation.Install(context.Background(), conn, invalidation.Options{Watch: watch, FollowerRoles: []string{servers.Follower}})
	return err
}

// forget drops the sidecars, which have ended. Package testing keeps each parallel test with its
// cleanup functions until all tests have ended, and these functions hold the testbed: without forget
// they would hold hundreds of megabytes of fences and caches.
func (b *testbed) forget() {
	for _, s := range b.sides {
		*s = side{}
	}
	b.sides = nil
}

// connect opens a connection that is closed when the test ends.
func (b *testbed) connect(dsn string) *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// exec runs SQL at Postgres directly.
func (b *testbed) exec(sql string, args ...any) {
	b.t.Helper()
	mustExec(b.t, b.direct, sql, args...)
}

func mustExec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// side is one sidecar in this process.
type side struct {
	*Server
	bed      *testbed
	follower *invalidation.Follower
	analyzer *analysis.Analyzer
	fence    *fence.Fence
	dir      string
	// panics is how many sessions the test makes meet a fault of the sidecar.
	panics uint64
}

type sideOption func(*engine.Options, *invalidation.FollowerOptions)

// redisWaitMax bounds a call to Redis in tests: on a busy machine a call sometimes takes longer than
// users would wait.
const redisWaitMax = time.Second

func withRedis(url string) sideOption {
	return func(c *engine.Options, _ *invalidation.FollowerOptions) {
		store, err := redis.New(context.Background(), redis.Options{URL: url, Timeout: redisWaitMax})
		if err != nil {
			panic(err)
		}
		c.Remote = store
	}
}

// asInstaller makes a sidecar with the rights of an installer, which may watch more tables and
// columns by itself.
func asInstaller(_ *engine.Options, f *invalidation.FollowerOptions) { f.ConnConfig.User = superuser }

// patient makes a sidecar that may serve what is an hour old, so that a look which a busy machine
// delays turns no hit into a miss: for tests that count hits.
func patient(c *engine.Options, _ *invalidation.FollowerOptions) { c.Staleness = time.Hour }

const (
	testPort  = 6432
	superuser = "postgres"
)

// fewSlots make a small fence. A reset writes all slots of a fence: with the default number, that is a
// third of what a sidecar's start costs under the race detector. With few slots more tags share one,
// which makes checks of entries slower and answers no different.
var fewSlots = fence.Options{Slots: 1 << 12}

// sidecar starts a sidecar in this process and waits until it follows the database. It has the rights
// of a follower only, unless asInstaller is among the options.
func (b *testbed) sidecar(options ...sideOption) *side {
	b.t.Helper()
	config, err := pgx.ParseConfig(b.postgres.FollowerDSN(b.database))
	if err != nil {
		b.t.Fatal(err)
	}
	log := b.log
	if testing.Verbose() && log == nil {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s := &side{bed: b, fence: fence.New(fewSlots), dir: socketDir(b.t)}
	b.sides = append(b.sides, s)
	var follower *invalidation.Follower
	var server atomic.Pointer[Server]
	following := invalidation.FollowerOptions{
		ConnConfig: config, Fence: s.fence, Watch: []string{"public.*"}, Logger: log,
		OnSchema: func() {
			if s := server.Load(); s != nil {
				s.SchemaChanged()
			}
		},
	}
	caching := engine.Options{Fence: s.fence, Confirm: func(ctx context.Context, at fence.Instant) error {
		return follower.Confirm(ctx, at)
	}, Wake: func() { follower.Wake() }}
	for _, option := range options {
		option(&caching, &following)
	}
	if follower, err = invalidation.NewFollower(following); err != nil {
		b.t.Fatal(err)
	}
	s.follower = follower
	store, err := engine.New(caching)
	if err != nil {
		b.t.Fatal(err)
	}
	config.User = following.ConnConfig.User
	s.analyzer, err = analysis.New(analysis.Options{ConnConfig: config, Watch: analysis.WatchedBy(s.follower), SteadyRoles: b.steadyRoles})
	if err != nil {
		b.t.Fatal(err)
	}
	s.Server, err = New(Options{
		Upstream: cmp.Or(b.upstream, &config.Config), SocketDir: s.dir, Port: testPort,
		Cache: store, Fence: s.fence, Follower: s.follower, Analyzer: s.analyzer, Logger: log, Drain: time.Second,
		Learn: s.follower.Learn, Passwordless: b.passwordless, ListenTCP: b.listenTCP, TLS: b.tls, Access: b.access, WarmFrom: b.warmFrom,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	s.Server.verdicts.WaitMax = servers.EventuallyMax // however late a busy machine analyses
	if b.peer != nil {
		s.Server.peer = b.peer
	}
	if b.warmPatience != 0 {
		s.Server.warmer.patienceMin = b.warmPatience
	}
	if b.warmIdleWait != 0 {
		s.Server.warmer.idleWait = b.warmIdleWait
	}
	if b.faults != nil {
		b.faults.Follower = s.follower
		s.Server.follower = b.faults
	}
	s.shortRuns.Store(math.MaxInt64) // spares no read behind a write: most tests ask what the cache answers there
	server.Store(s.Server)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	remote := caching.Remote
	for _, run := range []func(context.Context) error{s.follower.Run, store.Run, s.Server.Run} {
		go func() { ended <- run(ctx) }()
	}
	b.t.Cleanup(func() {
		stop()
		for range 3 {
			if err := <-ended; err != nil && ctx.Err() == nil {
				b.t.Error(err)
			}
		}
		if n := s.Report().Panics; n != s.panics {
			b.t.Errorf("%d sessions met a fault of the sidecar, want %d", n, s.panics)
		}
		s.cache.Close()
		s.analyzer.Close()
		if closer, ok := remote.(interface{ Close() error }); ok {
			closer.Close()
		}
	})
	servers.Eventually(b.t, "the follower to look", func() bool {
		return s.follower.Confirm(context.Background(), fence.Now()) == nil && len(s.follower.State().Tables()) > 0
	})
	return s
}

// dsn returns the connection string of a superuser's connection through the sidecar.
func (s *side) dsn() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", s.dir, testPort, s.bed.database)
}

// connect opens a connection through the sidecar.
func (s *side) connect() *pgx.Conn {
	s.bed.t.Helper()
	return s.bed.connect(s.dsn())
}

// count returns how many statements have had an outcome.
func (s *side) count(o Outcome) uint64 { return s.Report().Queries[o.String()] }

// became describes what became of all statements and entries so far, for the message of a failure
// where hits are missing.
func (s *side) became() string {
	r := s.Report()
	return fmt.Sprintf("%v; misses: %v; passed through: %v; the cache: %+v; the follower: %q",
		r.Queries, r.Misses, r.Bypasses, s.cache.Stats(), s.follower.Stats().LastError)
}

// psql runs psql through the sidecar, with each argument as a command of one session, and returns its
// output.
func (s *side) psql(commands ...string) string {
	s.bed.t.Helper()
	return run(s.bed.t, s.bed.postgres, "psql", append([]string{
		"-XqAt", "-v", "ON_ERROR_STOP=1", "-h", s.dir, "-p", fmt.Sprint(testPort), "-U", "postgres", "-d", s.bed.database,
	}, each("-c", commands)...)...)
}

// learn has the sidecar analyse the shape of a statement, however slow the machine: it sends the
// statement until it passes through no more.
func (s *side) learn(sql string) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "the shape of "+sql+" to be known", func() bool {
		before := s.count(Bypass)
		s.psql(sql)
		return s.count(Bypass) == before
	})
}

// each returns a flag before each of the values.
func each(flag string, values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, flag, v)
	}
	return out
}

// run runs a program that comes with Postgres, such as psql, and returns its output.
func run(t testing.TB, pg *servers.Postgres, name string, args ...string) string {
	t.Helper()
	tool, err := pg.Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

var socketDir = testkit.SocketDir
