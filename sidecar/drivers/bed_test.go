package drivers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// endpoint is where a client connects. Two endpoints of a test differ in host
// and port only.
type endpoint struct {
	host, database string
	port           int
	// source is what the programs in testdata/go are to read; see its package source.
	source string
}

// dsn is an endpoint in the form of Go's drivers and libpq.
func (e endpoint) dsn() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", e.host, e.port, e.database)
}

// environment is an endpoint in the form of everything else.
func (e endpoint) environment() []string {
	return append(os.Environ(),
		"PGHOST="+e.host, fmt.Sprintf("PGPORT=%d", e.port), "PGUSER=postgres", "PGDATABASE="+e.database,
		"PGCONNECT_TIMEOUT=10", "FRESHET_SOURCE="+e.source, "LC_ALL=C.UTF-8", "PYTHONIOENCODING=utf-8", "PSQL_HISTORY=/dev/null")
}

// bed is a database of a test's own.
type bed struct {
	t        *testing.T
	postgres *servers.Postgres
	database string
	direct   *pgx.Conn
	// program builds what serve starts: freshetProgram, unless a test sets another one
	// before.
	program func() (path string, err error)
}

// newBed makes a database with a schema file of testdata, in which a superuser has installed.
func newBed(t *testing.T, schema string) *bed {
	t.Helper()
	pg := servers.SharedPostgres(t)
	return openBed(t, pg, pg.FilledDatabase(t, schema, func(dsn string) error { return fill(dsn, schema) }))
}

// newWatchedBed is newBed for sidecars that the race detector watches.
func newWatchedBed(t *testing.T, schema string) *bed {
	t.Helper()
	b := newBed(t, schema)
	b.program = watchedProgram
	return b
}

// newBedOn is newBed on a certain server.
func newBedOn(t *testing.T, pg *servers.Postgres, schema string) *bed {
	t.Helper()
	database := pg.CreateDatabase(t)
	if err := fill(pg.DSN(database), schema); err != nil {
		t.Fatal(err)
	}
	return openBed(t, pg, database)
}

// newBareBed makes a database in which nothing is installed, empty unless a schema file of
// testdata is named.
func newBareBed(t *testing.T, schema string) *bed {
	t.Helper()
	pg := servers.SharedPostgres(t)
	database := pg.CreateDatabase(t)
	if schema != "" {
		if err := execFile(pg.DSN(database), schema); err != nil {
			t.Fatal(err)
		}
	}
	return openBed(t, pg, database)
}

func openBed(t *testing.T, pg *servers.Postgres, database string) *bed {
	t.Helper()
	b := &bed{t: t, postgres: pg, database: database, program: freshetProgram}
	b.direct = b.connect()
	return b
}

// fill makes a schema and installs, as a user does.
func fill(dsn, schema string) error {
	if err := execFile(dsn, schema); err != nil {
		return err
	}
	program, err := freshetProgram()
	if err != nil {
		return err
	}
	install := exec.Command(program, "install", "--upstream", dsn, "--watch", "public.*", "--follower-role", servers.Follower)
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("install: %w\n%s", err, out)
	}
	return nil
}

// execFile runs a file of testdata in a session of its own, which ends: one reports late what
// it scanned, here for an index.
func execFile(dsn, name string) error {
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.PgConn().Exec(context.Background(), string(text)).ReadAll()
	return err
}

// connect opens a session with Postgres itself.
func (b *bed) connect() *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.postgres.DSN(b.database))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// at is Postgres itself.
func (b *bed) at() endpoint {
	return endpoint{host: b.postgres.SocketDir(), port: b.postgres.Port(), database: b.database}
}

func (b *bed) execFile(name string) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		b.t.Fatal(err)
	}
	b.exec(string(text))
}

// exec runs SQL directly on Postgres.
func (b *bed) exec(sql string) {
	b.t.Helper()
	if _, err := b.direct.PgConn().Exec(b.t.Context(), sql).ReadAll(); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// reset brings the data back to their beginning and waits until all sidecars
// know.
func (b *bed) reset(sidecars ...*sidecar) {
	b.t.Helper()
	b.execFile("reset.sql")
	var now string
	b.scan(&now, "SELECT pg_current_xact_id()::text")
	for _, s := range sidecars {
		b.eventually("the sidecar to know of the reset", func() bool {
			head := s.stats().Head
			if head == "" {
				return false
			}
			var past bool
			b.scan(&past, "SELECT pg_visible_in_snapshot($1::text::xid8, $2::text::pg_snapshot)", now, head)
			return past
		})
	}
}

func (b *bed) scan(into any, sql string, args ...any) {
	b.t.Helper()
	if err := b.direct.QueryRow(b.t.Context(), sql, args...).Scan(into); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// scans is how often Postgres has read a table, by its own count. It waits for
// the clients' sessions to end, because that is when they report.
func (b *bed) scans(table string) (n int64) {
	b.t.Helper()
	b.eventually("the clients' sessions to end", func() (gone bool) {
		b.scan(&gone, `SELECT count(*) = 0 FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend'
			AND pid <> pg_backend_pid() AND application_name NOT LIKE 'freshet%'`)
		return gone
	})
	b.scan(&n, `SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = $1`, table)
	return n
}

func (b *bed) eventually(what string, holds func() bool) {
	b.t.Helper()
	servers.Eventually(b.t, what, holds)
}
