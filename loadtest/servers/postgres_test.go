package servers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// ask runs a query that returns one text value.
func ask(t *testing.T, dsn, query string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), EventuallyMax)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect with %q: %v", dsn, err)
	}
	defer conn.Close(ctx)
	var answer string
	if err := conn.QueryRow(ctx, query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func run(t *testing.T, dsn, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), EventuallyMax)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect with %q: %v", dsn, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestPostgresKeepsItsPlaceAndDataOverEveryEnd(t *testing.T) {
	t.Parallel()
	pg := StartPostgres(t, PostgresOptions{})
	dsn := pg.DSN(pg.CreateDatabase(t))
	run(t, dsn, "CREATE TABLE kept (n int)")

	ends := map[string]func() error{
		"restart":        pg.Restart,
		"smart stop":     func() error { return errors.Join(pg.Stop(Smart), pg.Start()) },
		"immediate stop": func() error { return errors.Join(pg.Stop(Immediate), pg.Start()) },
		"kill":           func() error { pg.Kill(); return pg.Start() },
	}
	kept := 0
	for name, end := range ends {
		run(t, dsn, "INSERT INTO kept VALUES (1)")
		kept++
		before := ask(t, dsn, "SELECT pg_postmaster_start_time()::text")
		if err := end(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if after := ask(t, dsn, "SELECT pg_postmaster_start_time()::text"); after == before {
			t.Errorf("%s: the server is still the one started at %s", name, before)
		}
		if got := ask(t, dsn, "SELECT count(*)::text FROM kept"); got != strconv.Itoa(kept) {
			t.Errorf("%s: the table has %s rows, want %d", name, got, kept)
		}
	}
}

func TestPostgresKillTakesEveryProcess(t *testing.T) {
	t.Parallel()
	pg := StartPostgres(t, PostgresOptions{})
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pg.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	session := int(conn.PgConn().PID())
	processes := append(childrenOf(pg.server.pid), pg.server.pid)
	if !slices.Contains(processes, session) {
		t.Fatalf("the server has processes %v, want session %d among them", processes, session)
	}
	pg.Kill()
	for _, pid := range processes {
		if alive(pid) {
			t.Errorf("process %d runs after Kill", pid)
		}
	}
	if pg.Running() {
		t.Error("Running is true after Kill")
	}
	if err := conn.Ping(ctx); err == nil {
		t.Error("a session survived Kill")
	}
}

func TestPostgresStopModes(t *testing.T) {
	t.Parallel()
	pg := StartPostgres(t, PostgresOptions{})
	if err := pg.Stop("gentle"); err == nil {
		t.Error("an unknown mode was accepted")
	}
	if err := pg.Start(); err == nil {
		t.Error("a running server could be started again")
	}
	for range 2 { // the second is a stopped server's
		if err := pg.Stop(Fast); err != nil {
			t.Fatal(err)
		}
	}
	if pg.Running() {
		t.Error("Running is true after Stop")
	}
	for range 2 {
		if err := pg.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(pg.SocketDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory after Close: %v, want none", err)
	}
	if err := pg.Start(); err == nil {
		t.Error("a closed server could be started")
	}
}

func TestTwoPostgresAtOnce(t *testing.T) {
	t.Parallel()
	one := StartPostgres(t, PostgresOptions{TCP: true})
	two := StartPostgres(t, PostgresOptions{TCP: true, OwnIdentity: true})
	if one.TCPAddress() == two.TCPAddress() {
		t.Fatalf("both listen on %s", one.TCPAddress())
	}
	const query = "SELECT system_identifier::text FROM pg_control_system()"
	identities := map[string]string{}
	for _, pg := range []*Postgres{one, two} {
		identity := ask(t, pg.DSN("postgres"), query)
		if other, seen := identities[identity]; seen {
			t.Errorf("identity of %s is also that of %s", pg.dir, other)
		}
		identities[identity] = pg.dir
		if got := ask(t, pg.URL("postgres"), query); got != identity {
			t.Errorf("URL leads to cluster %s, want %s", got, identity)
		}
		if got := ask(t, "postgres://postgres@"+pg.TCPAddress()+"/postgres", query); got != identity {
			t.Errorf("TCPAddress leads to cluster %s, want %s", got, identity)
		}
	}
}

func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	pg := StartPostgres(t, PostgresOptions{
		Settings: map[string]string{
			"fsync": "on", "wal_level": "logical", "max_prepared_transactions": "5",
			"max_connections": "600", "application_name": "it's",
		},
		HBA: []string{"local all locked_out reject"},
	})
	dsn := pg.DSN("postgres")
	for name, want := range map[string]string{
		"fsync": "on", "wal_level": "logical", "max_prepared_transactions": "5",
		"max_connections": "600", "application_name": "it's", "listen_addresses": "",
	} {
		if got := ask(t, dsn, "SELECT current_setting('"+name+"')"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	run(t, dsn, "CREATE ROLE locked_out LOGIN")
	conn, err := pgx.Connect(context.Background(), strings.Replace(dsn, "user=postgres", "user=locked_out", 1))
	if err == nil {
		conn.Close(context.Background())
		t.Error("a line of HBA had no effect")
	} else if !strings.Contains(err.Error(), "pg_hba.conf rejects") {
		t.Errorf("the role is kept out by %v, want a line of HBA", err)
	}
	if pg.TCPAddress() != "" {
		t.Errorf("TCPAddress is %q without TCP", pg.TCPAddress())
	}
}

func TestPostgresStartErrorShowsTheLog(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"no_such_setting": "unrecognized configuration parameter",
		"port":            "the harness's",
	} {
		pg, err := LaunchPostgres(context.Background(), PostgresOptions{Settings: map[string]string{settings: "1"}})
		if err == nil {
			pg.Close()
			t.Errorf("setting %s was accepted", settings)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("setting %s: error %q does not say %q", settings, err, want)
		}
	}
}

func TestLaunchPostgresIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	pg, err := LaunchPostgres(ctx, PostgresOptions{OwnIdentity: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	if err == nil {
		pg.Close()
	}
}

func TestCreateDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	pg := SharedPostgres(t)
	var mu sync.Mutex
	var names []string
	t.Run("databases", func(t *testing.T) {
		for _, who := range []string{"one", "two", "three"} {
			t.Run(who, func(t *testing.T) {
				t.Parallel()
				name := pg.CreateDatabase(t)
				mu.Lock()
				names = append(names, name)
				mu.Unlock()
				if got := ask(t, pg.DSN(name), "SELECT current_database()::text"); got != name {
					t.Errorf("connected to %s, want %s", got, name)
				}
			})
		}
	})
	if len(names) != 3 {
		t.Fatalf("databases %q were created, want 3", names)
	}
	left := ask(t, pg.DSN("postgres"),
		"SELECT count(*)::text FROM pg_database WHERE datname IN ('"+strings.Join(names, "','")+"')")
	if left != "0" {
		t.Errorf("%s of the databases %v are left after their test", left, names)
	}
}

func TestPostgresTools(t *testing.T) {
	t.Parallel()
	pg := SharedPostgres(t)
	pgbench, err := pg.Tool("pgbench")
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(pgbench, "--version").CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", pgbench, err, output)
	}
	if _, err := pg.Tool("no-such-tool"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("error for a missing tool is %v", err)
	}
}

func TestDSNQuotesTheDatabase(t *testing.T) {
	t.Parallel()
	pg := SharedPostgres(t)
	for _, name := range []string{`it's`, `two words`, `back\slash`} {
		quoted := pgx.Identifier{name}.Sanitize()
		run(t, pg.DSN("postgres"), "CREATE DATABASE "+quoted)
		for _, dsn := range []string{pg.DSN(name), pg.URL(name)} {
			if got := ask(t, dsn, "SELECT current_database()::text"); got != name {
				t.Errorf("%q leads to %q, want %q", dsn, got, name)
			}
		}
		run(t, pg.DSN("postgres"), "DROP DATABASE "+quoted+" WITH (FORCE)")
	}
}

func TestFollowerHasNoRights(t *testing.T) {
	t.Parallel()
	pg := SharedPostgres(t)
	if got := ask(t, pg.FollowerDSN("postgres"), "SELECT concat(rolname, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls) FROM pg_roles WHERE rolname = current_user"); got != Follower+"ffff" {
		t.Errorf("the follower's role is %q", got)
	}
}
