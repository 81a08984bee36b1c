package run_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/dashboard"
	"github.com/freshet/freshet/sidecar/internal/testkit"
	"github.com/freshet/freshet/sidecar/run"
)

// named is a database beside the upstream's.
func named(t *testing.T, name, dsn string) run.NamedDatabase {
	t.Helper()
	upstream, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return run.NamedDatabase{Name: name, Upstream: run.Database{Config: upstream}}
}

// fruits is a client of a database behind a sidecar, and a table with one fruit in it.
type fruits struct {
	*pgx.Conn
	t *testing.T
}

// asking connects to a sidecar and asks for a database.
func asking(t *testing.T, s *run.Sidecar, database string) fruits {
	t.Helper()
	c := s.ClientConfig()
	c.Database = database
	return fruits{connectTo(t, c), t}
}

func (f fruits) name() (name string) {
	f.t.Helper()
	if err := f.QueryRow(f.t.Context(), "SELECT name FROM fruit WHERE id = 1").Scan(&name); err != nil {
		f.t.Fatal(err)
	}
	return name
}

// hit reads until an answer comes from memory.
func (f fruits) hit(s *run.Sidecar, database string) (name string) {
	f.t.Helper()
	servers.Eventually(f.t, "a hit in "+database, func() bool {
		before := reportOf(f.t, s, database).Queries["hit_l1"]
		name = f.name()
		return reportOf(f.t, s, database).Queries["hit_l1"] > before
	})
	return name
}

// ask asks the admin address.
func ask(t *testing.T, s *run.Sidecar, path string) (status int, text string) {
	t.Helper()
	return testkit.Get(t, "http://"+s.AdminAddress()+path)
}

func reportOf(t *testing.T, s *run.Sidecar, database string) dashboard.Stats {
	t.Helper()
	all := s.Reports()
	i := slices.IndexFunc(all, func(r dashboard.Stats) bool { return r.Database == database })
	if i < 0 {
		t.Fatalf("there is no report of %s", database)
	}
	return all[i]
}

// rename names the fruit of a database, past all sidecars.
func rename(t *testing.T, dsn, name string) {
	t.Helper()
	if _, err := connect(t, dsn).Exec(t.Context(), "UPDATE fruit SET name = $1", name); err != nil {
		t.Fatal(err)
	}
}

// One sidecar serves the upstream's database and two others, of which one has another name
// for its clients, each from what its own database says; and for what it does not know, it
// says what Postgres does.
func TestDatabasesBehindOneSidecar(t *testing.T) {
	t.Parallel()
	plain, second, third := installed(t), installed(t), installed(t)
	rename(t, second, "banana")
	rename(t, third, "cherry")
	o := optionsFor(t, plain)
	o.MemoryBytes, o.Staleness = 8<<20, 10*time.Second
	at := func(dsn string) string { return named(t, "", dsn).Upstream.Config.Database }
	o.Databases = []run.NamedDatabase{named(t, at(second), second), named(t, "shop_eu", third)}
	s, end, ended := running(t, o)

	a, b, c := asking(t, s, at(plain)), asking(t, s, at(second)), asking(t, s, "shop_eu")
	for _, each := range []struct {
		fruits
		database, want string
	}{{a, at(plain), "apple"}, {b, at(second), "banana"}, {c, "shop_eu", "cherry"}} {
		if got := each.hit(s, each.database); got != each.want {
			t.Errorf("%s has %s in memory, want %s", each.database, got, each.want)
		}
	}
	// Who asks by Postgres' own name is a client of the same database.
	byOwnName := reportOf(t, s, "shop_eu").Sessions
	if asking(t, s, at(third)).hit(s, "shop_eu") != "cherry" || reportOf(t, s, "shop_eu").Sessions != byOwnName+1 {
		t.Error("Postgres' name for a database leads past its cache")
	}
	// A change ends what is kept of its own database.
	hits := reportOf(t, s, at(plain)).Queries["hit_l1"]
	rename(t, third, "damson")
	servers.Eventually(t, "the change", func() bool { return c.name() == "damson" })
	if b.name() != "banana" || a.name() != "apple" {
		t.Error("a change of one database shows in another")
	}
	if now := reportOf(t, s, at(plain)).Queries["hit_l1"]; now != hits+1 {
		t.Errorf("after a change of another database there were %d hits, want 1", now-hits)
	}

	var database, report string
	if err := b.QueryRow(t.Context(), "SHOW freshet.databases").Scan(&report); err != nil || strings.Count(report, `"not_ready":""`) != 3 {
		t.Errorf("SHOW freshet.databases says %s, %v", report, err)
	}
	if err := c.QueryRow(t.Context(), "SHOW freshet.report").Scan(&report); err != nil || !strings.Contains(report, `"database":"shop_eu"`) {
		t.Errorf("a client of shop_eu is shown %s, %v", report, err)
	}
	if err := c.QueryRow(t.Context(), "SELECT current_database()").Scan(&database); err != nil || database != at(third) {
		t.Errorf("behind shop_eu is %s, %v; want %s", database, err, at(third))
	}

	for path, want := range map[string]string{
		"/databases/shop_eu/api/v1/stats":               `"database": "shop_eu"`,
		"/databases/" + at(second) + "/api/v1/snapshot": `"database": "` + at(second) + `"`,
		"/databases/shop_eu/":                           "<title>Freshet</title>",
		"/readyz?database=shop_eu":                      "ready\n",
		"/readyz":                                       "ready\n",
		"/metrics":                                      `freshet_queries_total{database="shop_eu",outcome="hit_l1"}`,
	} {
		if status, text := ask(t, s, path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s answers %d, without %s:\n%s", path, status, want, text)
		}
	}
	if status, _ := ask(t, s, "/databases/there_is_none/"); status != http.StatusNotFound {
		t.Errorf("the page of a database that is not there answers %d", status)
	}

	// What is not configured is the upstream's server's to answer.
	unknown := s.ClientConfig()
	unknown.Database = "there_is_no_such_database"
	_, through := pgx.ConnectConfig(t.Context(), unknown)
	config := named(t, "", plain).Upstream.Config
	config.Database = unknown.Database
	_, direct := pgx.ConnectConfig(t.Context(), config)
	said, ok := errors.AsType[*pgconn.PgError](through)
	if want, _ := errors.AsType[*pgconn.PgError](direct); !ok || said.Code != "3D000" || said.Message != want.Message {
		t.Errorf("of a database that is not there the sidecar says %v, Postgres %v", through, direct)
	}
	other := asking(t, s, "postgres")
	before := reportOf(t, s, at(plain)).Queries["bypass"]
	if err := other.QueryRow(t.Context(), "SELECT current_database()").Scan(&database); err != nil || database != "postgres" {
		t.Errorf("a database that is not configured is %s, %v", database, err)
	}
	if now := reportOf(t, s, at(plain)).Queries["bypass"]; now != before+1 {
		t.Errorf("%d statements of a database without a follower passed through, want 1", now-before)
	}

	// A cancel request finds its session, and the end reaches all.
	ctx, cancel := context.WithCancel(t.Context())
	slept := make(chan error, 1)
	go func() {
		_, err := c.PgConn().Exec(ctx, "SELECT pg_sleep(600)").ReadAll()
		slept <- err
	}()
	watch := connect(t, third)
	servers.Eventually(t, "a sleeper", func() (sleeps bool) {
		err := watch.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()").Scan(&sleeps)
		return err == nil && sleeps
	})
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Error(err)
	}
	err := <-slept
	if said, ok := errors.AsType[*pgconn.PgError](err); !ok || said.Code != "57014" {
		t.Errorf("what was cancelled ended with %v, want SQLSTATE 57014", err)
	}
	cancel()
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if a.Ping(t.Context()) == nil || b.Ping(t.Context()) == nil || c.Ping(t.Context()) == nil {
		t.Error("a client is served by what has ended")
	}
}

// A database whose server is away costs its own clients, and nobody else.
func TestDatabaseThatIsAwayHurtsNoOther(t *testing.T) {
	t.Parallel()
	far := servers.StartPostgres(t, servers.PostgresOptions{})
	away := far.DSN(far.CreateDatabase(t))
	conn := connect(t, away)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE fruit (id int PRIMARY KEY, name text); INSERT INTO fruit VALUES (1, 'elderberry')"); err != nil {
		t.Fatal(err)
	}
	install(t, conn, "public.*")

	plain := installed(t)
	o := optionsFor(t, plain)
	o.MemoryBytes, o.Staleness = 8<<20, 10*time.Second
	o.ClientsMax = 2
	o.Databases = []run.NamedDatabase{named(t, "far", away), named(t, "gone", nowhere), named(t, "twin", away+" port="+fmt.Sprint(far.Port())+" host="+far.SocketDir()+"/.")}
	s, _, _ := running(t, o)
	home := named(t, "", plain).Upstream.Config.Database
	near, distant := asking(t, s, home), asking(t, s, "far")
	if got := distant.hit(s, "far"); got != "elderberry" {
		t.Errorf("the other server has %s", got)
	}
	near.hit(s, home)
	// As many clients as may be, whatever their databases.
	third := s.ClientConfig()
	third.Database = "far"
	_, err := pgx.ConnectConfig(t.Context(), third)
	if said, ok := errors.AsType[*pgconn.PgError](err); !ok || said.Code != "53300" {
		t.Errorf("one client too many: %v", err)
	}

	servers.Eventually(t, "two names to be found", func() bool { return reportOf(t, s, "twin").PoolingProblem != "" })
	if err := far.Stop(servers.Immediate); err != nil {
		t.Fatal(err)
	}
	if distant.Ping(t.Context()) == nil {
		t.Error("a session of a server that has ended goes on")
	}
	looks := reportOf(t, s, home).FollowerLooks
	servers.Eventually(t, "looks that go on", func() bool { return reportOf(t, s, home).FollowerLooks > looks+2 })
	hits := reportOf(t, s, home).Queries["hit_l1"]
	if near.name() != "apple" || reportOf(t, s, home).Queries["hit_l1"] != hits+1 {
		t.Error("a database is no hit while another is away")
	}
	if status, text := ask(t, s, "/readyz"); status != http.StatusOK || !strings.Contains(text, "database gone: no look") {
		t.Errorf("with one that is away, /readyz answers %d %s", status, text)
	}
	if status, text := ask(t, s, "/readyz?database=gone"); status != http.StatusServiceUnavailable {
		t.Errorf("of the one that is away, /readyz answers %d %s", status, text)
	}
	if gone := reportOf(t, s, "gone"); dashboard.NotReady(&gone) == "" {
		t.Error("a database that nobody ever reached is ready")
	}
	if there := reportOf(t, s, home); dashboard.NotReady(&there) != "" {
		t.Errorf("a database is not ready because another is away: %s", dashboard.NotReady(&there))
	}
	if twin := reportOf(t, s, "twin"); !strings.Contains(twin.PoolingProblem, "far and twin are the same one") {
		t.Errorf("two names for one database: %q", twin.PoolingProblem)
	}
	servers.Eventually(t, "the client's end", func() bool { return reportOf(t, s, "far").Sessions == 0 })

	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	if got := asking(t, s, "far").hit(s, "far"); got != "elderberry" {
		t.Errorf("when it is back, the other server has %s", got)
	}
}

// Names that mean two databases, databases with two names, and memory that does not suffice
// are refused before anything is opened.
func TestDatabasesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	other := named(t, "other", "host=/nowhere user=u dbname=other")
	both := named(t, "both", "host=/elsewhere user=u dbname=d")
	both.Primary, both.Follow = both.Upstream, both.Upstream
	for _, c := range []struct {
		databases []run.NamedDatabase
		says      string
	}{
		{[]run.NamedDatabase{named(t, "", nowhere+"2")}, "needs a name"},
		{[]run.NamedDatabase{{Name: "other"}}, "and a DSN"},
		{[]run.NamedDatabase{named(t, "d", "host=/elsewhere user=u dbname=d")}, "database d is that of the upstream itself"},
		{[]run.NamedDatabase{other, named(t, "other", "host=/elsewhere user=u dbname=d")}, "database other stands twice"},
		{[]run.NamedDatabase{other, named(t, "again", "host=/nowhere user=v dbname=other")}, "databases other and again lead to the same one"},
		{[]run.NamedDatabase{named(t, "again", nowhere)}, "databases d and again lead to the same one"},
		{[]run.NamedDatabase{both}, "leave one out"},
		{[]run.NamedDatabase{other, {Name: "large", Upstream: run.Database{Config: named(t, "", "host=/elsewhere").Upstream.Config}, MemoryBytes: 1 << 20}}, "the memory does not suffice for 3 databases"},
	} {
		o := optionsFor(t, nowhere)
		o.Databases = c.databases
		s, err := run.New(o)
		if err == nil {
			s.Close()
		}
		if !isMisuse(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want a misuse that says %q", err, c.says)
		}
	}
}

// A database with Redis, and one that is served from a standby, go on through a take-over:
// nobody is refused, what one process put into Redis the next one finds, and what changes
// afterwards shows in both.
func TestDatabasesAreTakenOver(t *testing.T) {
	t.Parallel()
	primary := servers.StartPostgres(t, servers.PostgresOptions{})
	written := primary.DSN(primary.CreateDatabase(t))
	conn := connect(t, written)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE fruit (id int PRIMARY KEY, name text); INSERT INTO fruit VALUES (1, 'elderberry')"); err != nil {
		t.Fatal(err)
	}
	install(t, conn, "public.*")
	standby := servers.StartStandby(t, primary, servers.PostgresOptions{})

	plain, second := installed(t), installed(t)
	rename(t, second, "banana")
	o := optionsFor(t, plain)
	o.MemoryBytes, o.Staleness = 8<<20, 10*time.Second
	o.RedisURL, o.RedisPolicy = servers.SharedRedis(t).URL(), engine.RemoteAlways
	replica := named(t, "read", standby.DSN(conn.Config().Database))
	replica.Primary = named(t, "", written).Upstream
	o.Databases = []run.NamedDatabase{named(t, "second", second), replica}
	o.Drain = 10 * time.Second
	first, _, ended := running(t, o)
	read := func(s *run.Sidecar) fruits {
		t.Helper()
		c := asking(t, s, "read")
		if _, err := c.Exec(t.Context(), "SET freshet.consistency = 'bounded'"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := asking(t, first, "second")
	if got := old.hit(first, "second"); got != "banana" {
		t.Errorf("the second has %s", got)
	}
	// Several, as a slow machine may write one to Redis late, or find it there too late.
	const keptMax = 50
	kept := func(n int) string { return fmt.Sprintf("SELECT name FROM fruit WHERE id = 1 AND id < %d", 2+n%keptMax) }
	for n := range keptMax {
		var name string
		if err := old.QueryRow(t.Context(), kept(n)).Scan(&name); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(first).hit(first, "read"); got != "elderberry" {
		t.Errorf("the replica has %s", got)
	}
	o.TakeOver = true
	next, _, _ := running(t, o)
	servers.Eventually(t, "the first to leave", func() bool { return !first.Report().Listening }) // until then both accept
	var c fruits
	asked := 0
	servers.Eventually(t, "a hit in Redis", func() bool {
		// One that the first has accepted as it left ends when it is idle.
		c = asking(t, next, "second")
		var name string
		if err := c.QueryRow(t.Context(), kept(asked)).Scan(&name); err != nil {
			return false
		}
		asked++
		return reportOf(t, next, "second").Queries["hit_l2"] > 0
	})
	r := read(next)
	r.hit(next, "read")
	rename(t, second, "cherry")
	rename(t, written, "fig")
	servers.Eventually(t, "the changes", func() bool { return c.name() == "cherry" && r.name() == "fig" })
	if got := r.hit(next, "read"); got != "fig" {
		t.Errorf("the replica has %s", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if reportOf(t, first, "second").RefusedAtEnd != 0 {
		t.Error("a client was refused")
	}
}
