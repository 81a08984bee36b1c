package invalidation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// wantNothing requires that a refused installation has left nothing.
func (db *database) wantNothing() {
	db.t.Helper()
	if n := db.value(`SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet')
		+ (SELECT count(*) FROM pg_event_trigger) + (SELECT count(*) FROM pg_trigger WHERE starts_with(tgname, 'zz_freshet'))`); n != "0" {
		db.t.Errorf("%s objects were left behind", n)
	}
	db.run("CREATE TABLE later (a int)", "DROP TABLE later")
}

// What a server cannot do fails the installation, and leaves nothing behind that
// would fail everybody's commands instead.
func TestInstallTriesWhatItNeeds(t *testing.T) {
	t.Parallel()
	for _, function := range []string{"pg_current_wal_insert_lsn() RETURNS pg_lsn", "pg_notification_queue_usage() RETURNS float8", "pg_current_snapshot() RETURNS pg_snapshot"} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, shop)
			name, _, _ := strings.Cut(function, "(")
			db.run("SET allow_system_table_mods = on", "ALTER FUNCTION pg_catalog."+name+"() RENAME TO former",
				"CREATE FUNCTION pg_catalog."+function+" LANGUAGE plpgsql AS $$BEGIN RAISE 'not on this server'; END$$", "RESET allow_system_table_mods")
			if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); err == nil || !strings.Contains(err.Error(), "not on this server") {
				t.Errorf("%s raises: %v", name, err)
			}
			db.wantNothing()
		})
	}
}

func TestInstallRefusesAurora(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, "SET allow_system_table_mods = on", "CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql AS $$SELECT '15.4'$$")
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); err == nil || !strings.Contains(err.Error(), "unlogged tables survive") {
		t.Errorf("on Aurora: %v", err)
	}
	db.wantNothing()
}

func TestPatternThatMatchesNothingInstallsNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	_, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*", "pubic.users"}})
	if unmatched, ok := errors.AsType[*UnmatchedError](err); !ok || unmatched.Pattern != "pubic.users" {
		t.Errorf("a typo: %v", err)
	}
	db.wantNothing()
}

// A schema that has no tables yet is no typo where the pattern stands for any table.
func TestPatternOfAnEmptySchema(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE SCHEMA shop")
	for _, pattern := range []string{"shop.orders", "ship.*"} {
		if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*", pattern}}); err == nil || !strings.Contains(err.Error(), "no table matches "+pattern) {
			t.Errorf("%s: %v", pattern, err)
		}
		db.wantNothing()
	}
	if report := db.install("public.*", "shop.*"); !slices.Equal(report.Early, []string{"public.*", "shop.*"}) || len(report.Watched) != 0 {
		t.Errorf("an empty database: %+v", report)
	}
	db.run("CREATE TABLE shop.orders (id int PRIMARY KEY)")
	if report := db.install("public.*", "shop.*"); !slices.Equal(report.Early, []string{"public.*"}) || len(report.Watched) != 1 {
		t.Errorf("with a table: %+v", report)
	}
}

// An installation that fails on the way takes back what it has done.
func TestInstallIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, "CREATE TABLE zz (a int)",
		"CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN IF current_query() LIKE '%\"zz\"%' THEN RAISE 'not on the last table'; END IF; END$$",
		"CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION no()")
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); err == nil || !strings.Contains(err.Error(), "not on the last table") {
		t.Errorf("the installation ended with %v, want the error of the last table", err)
	}
	db.run("DROP EVENT TRIGGER no")
	db.wantNothing()
}

func TestInstallSaysWhoIsInstalling(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	other := db.connect()
	unlock, err := lockInstallers(t.Context(), other, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var pid string
	if err := other.QueryRow(t.Context(), "SELECT pg_backend_pid()::text").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if _, err := lockInstallers(t.Context(), db.Conn, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "process "+pid) {
		t.Errorf("while process %s installs: %v", pid, err)
	}
	unlock()
	db.install("public.*")
}

// The interleaving of lockInstallers. The third waits for longer each time that the machine let
// another one keep the lock for as long as it waits.
func TestInstallersComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for wait := time.Second; !installersCome(t, wait); wait *= 2 {
		t.Logf("one of them kept the lock for more than %v", wait)
	}
}

// installersCome forces the interleaving, and returns false if the third rightly gave up.
func installersCome(t *testing.T, wait time.Duration) bool {
	t.Helper()
	db := newDatabase(t)
	type locked struct {
		unlock func()
		err    error
	}
	lock := func(conn *pgx.Conn, wait time.Duration) <-chan locked {
		done := make(chan locked, 1)
		go func() {
			unlock, err := lockInstallers(context.Background(), conn, wait)
			done <- locked{unlock, err}
		}()
		return done
	}
	take := func(done <-chan locked) (unlock func()) {
		t.Helper()
		l := <-done
		if l.err != nil {
			t.Fatal(l.err)
		}
		return l.unlock
	}
	waiting := func(n string) {
		t.Helper()
		servers.Eventually(t, n+" installers wait", func() bool {
			return db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == n
		})
	}
	first := take(lock(db.connect(), waitMax))
	second := lock(db.connect(), waitMax)
	waiting("1")
	conn := db.connect()
	began := time.Now()
	third := lock(conn, wait) // 1.
	servers.Eventually(t, "the third waits", func() bool {
		return len(third) > 0 || db.value("SELECT wait_event FROM pg_stat_activity WHERE pid = $1::int", int(conn.PgConn().PID())) == "advisory"
	})
	asked := func() string {
		return db.value("SELECT query_start FROM pg_stat_activity WHERE wait_event = 'advisory' AND pid = $1::int", int(conn.PgConn().PID()))
	}
	since := asked()
	first() // 2.
	unlock := take(second)
	late := time.Since(began) >= wait
	servers.Eventually(t, "the third waits anew", func() bool { // 3.
		now := asked()
		return len(third) > 0 || now != since && now != "NULL"
	})
	unlock()
	late = late || time.Since(began) >= 2*wait
	l := <-third
	switch {
	case l.err == nil:
		l.unlock()
	case !late:
		t.Fatal(l.err)
	}
	return l.err == nil
}

// Tables of ours in a publication would stop its subscribers. One that comes later
// is a problem, and nothing else.
func TestPublicationForAllTables(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{"wal_level": "logical"}})
	publisher := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), shop, "CREATE PUBLICATION everything FOR ALL TABLES", "SELECT pg_create_logical_replication_slot('everything', 'pgoutput')")
	subscriber := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), shop)
	subscriber.run("CREATE SUBSCRIPTION everything CONNECTION " + literal(publisher.dsn) + " PUBLICATION everything WITH (create_slot = false, copy_data = false)")
	t.Cleanup(func() {
		if _, err := subscriber.Exec(context.Background(), "DROP SUBSCRIPTION everything"); err != nil {
			t.Error(err)
		}
	})
	if _, err := Install(t.Context(), publisher.Conn, Options{Watch: []string{"public.*"}}); err == nil || !strings.Contains(err.Error(), "publication everything") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("beside a publication FOR ALL TABLES: %v", err)
	}
	publisher.run("INSERT INTO users VALUES (77)")
	servers.Eventually(t, "the row is replicated", func() bool { return subscriber.value("SELECT count(*) FROM users WHERE id = 77") == "1" })
	publisher.run("DROP PUBLICATION everything")
	publisher.install("public.*")
	publisher.run("CREATE PUBLICATION everything FOR ALL TABLES")
	state := publisher.state()
	if problems := strings.Join(state.Problems(), "\n"); !strings.Contains(problems, "publication everything") || len(state.Tables()) == 0 {
		t.Errorf("a publication that came later: problems %q, watched %v", problems, state.Tables())
	}
}

// With wal_level minimal, rows that are written to a table by the transaction that
// made it move no log.
func TestMinimalLog(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{"wal_level": "minimal", "max_wal_senders": "0"}})
	db := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), shop)
	db.install("public.*")
	db.run("BEGIN", "TRUNCATE freshet.outbox", "INSERT INTO users VALUES (3)", "INSERT INTO users VALUES (4)", "COMMIT")
	if n := db.value("SELECT count(*) FROM freshet.outbox WHERE tags @> ARRAY[$1]", db.spell("users")[0]); n != "2" {
		t.Errorf("%s events, want 2", n)
	}
}

// A publication that names our schema is a problem that says what to do, and no
// command of the publisher's fails.
func TestPublicationOfOurSchema(t *testing.T) {
	t.Parallel()
	for _, tables := range []string{"TABLES IN SCHEMA freshet, public", "TABLE freshet.outbox, users", "ALL TABLES"} {
		t.Run(tables, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, shop, "CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS n FROM orders GROUP BY 1")
			if strings.Contains(tables, "SCHEMA") && db.value("SELECT current_setting('server_version_num')::int < 150000") == "true" {
				tables = "ALL TABLES" // there were none of schemas
			}
			db.install("public.*")
			db.run("CREATE PUBLICATION ours FOR " + tables)
			if problems := db.state().Problems(); len(problems) != 1 || !strings.Contains(problems[0], "publication ours contains the tables of schema freshet") || !strings.Contains(problems[0], "by name") {
				t.Errorf("problems are %q", problems)
			}
			db.run(usersWrites...)
			db.run(usersDefinitions...)
			db.run("DELETE FROM freshet.outbox", "DROP PUBLICATION ours")
			if problems := db.state().Problems(); len(problems) != 0 {
				t.Errorf("without it, problems are %q", problems)
			}
		})
	}
}

// unlockTracer calls seen when a connection is about to give the installers' lock back.
type unlockTracer struct{ seen func(ctx context.Context) }

func (u unlockTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "pg_advisory_unlock") {
		u.seen(ctx)
	}
	return ctx
}

func (unlockTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The installers' lock is given back when the installer is done, whatever time the server
// takes for it: an installer who does not give up keeps the connection. One who gives up then
// loses it, and the lock with it.
func TestInstallersLockIsGivenBack(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE users (id int PRIMARY KEY)")
	for _, c := range []struct {
		name  string
		gives bool
	}{{"patient", false}, {"who gives up", true}} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			config, err := pgx.ParseConfig(db.dsn)
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			config.Tracer = unlockTracer{func(ctx context.Context) {
				asked++
				if until, ok := ctx.Deadline(); ok {
					t.Errorf("a slow server loses the connection in %v", time.Until(until))
				}
				if c.gives {
					cancel()
				}
			}}
			conn, err := pgx.ConnectConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer closeConn(conn)
			if _, err := Install(ctx, conn, Options{Watch: []string{"public.*"}}); asked != 1 || err != nil {
				t.Errorf("asked %d times; %v", asked, err)
			}
			if conn.IsClosed() != c.gives {
				t.Errorf("the connection is closed: %v", conn.IsClosed())
			}
			servers.Eventually(t, "the lock is free", func() bool {
				return installer(t.Context(), db.Conn) == ""
			})
		})
	}
}
