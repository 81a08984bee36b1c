package invalidation

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(followVariable); dsn != "" {
		followUntilKilled(dsn)
	}
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true, AtOnce: testsAtOnce}))
}

// testsAtOnce is how many tests run at once: they wait for looks, locks and servers.
const testsAtOnce = 4

// superuser installs.
const superuser = "postgres"

// waitMax bounds every wait for something that must happen.
const waitMax = servers.EventuallyMax

// database is one test's database and a superuser's session in it. Followers have
// the role servers.Follower and what install gave it, unless a test says that its
// follower installs.
type database struct {
	t   *testing.T
	dsn string
	*pgx.Conn
}

// newDatabase makes a database on the shared server and runs statements in it.
func newDatabase(t *testing.T, statements ...string) *database {
	t.Helper()
	pg := servers.SharedPostgres(t)
	return openDatabase(t, pg.DSN(pg.CreateDatabase(t)), statements...)
}

// newRolesDatabase is newDatabase for tests that make, change or drop roles, which all databases of the
// server share.
func newRolesDatabase(t *testing.T, statements ...string) *database {
	t.Helper()
	pg := servers.SharedPostgresOfRoles(t)
	return openDatabase(t, pg.DSN(pg.CreateDatabase(t)), statements...)
}

// newWatched makes a database that statements filled and of which all in schema public is
// watched. What tests need alike is installed once and copied.
func newWatched(t *testing.T, statements ...string) *database {
	t.Helper()
	pg := servers.SharedPostgres(t)
	return openDatabase(t, pg.DSN(pg.FilledDatabase(t, strings.Join(statements, ";\n"), func(dsn string) error {
		return fillWatched(dsn, statements)
	})))
}

func fillWatched(dsn string, statements []string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for _, s := range statements {
		if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	_, err = Install(ctx, conn, everythingWatched)
	return err
}

// everythingWatched is how newWatched installs.
var everythingWatched = Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}

func openDatabase(t *testing.T, dsn string, statements ...string) *database {
	t.Helper()
	db := &database{t: t, dsn: dsn}
	db.Conn = db.connect()
	db.run(statements...)
	return db
}

// connect opens one more session.
func (db *database) connect() *pgx.Conn {
	db.t.Helper()
	conn, err := pgx.Connect(db.t.Context(), db.dsn)
	if err != nil {
		db.t.Fatalf("connect: %v", err)
	}
	db.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// run runs statements, each as a transaction of its own unless it holds several.
func (db *database) run(statements ...string) {
	db.t.Helper()
	runOn(db.t, db.Conn, statements...)
}

func runOn(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.PgConn().Exec(t.Context(), s).ReadAll(); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// install watches patterns and requires that it worked.
func (db *database) install(patterns ...string) Report {
	db.t.Helper()
	report, err := Install(db.t.Context(), db.Conn, Options{Watch: patterns, FollowerRoles: []string{servers.Follower}})
	if err != nil {
		db.t.Fatalf("install: %v", err)
	}
	return report
}

// state reads what is watched now.
func (db *database) state() *State {
	db.t.Helper()
	text, at, err := readCatalog(db.t.Context(), db.Conn)
	if err != nil {
		db.t.Fatal(err)
	}
	c, err := parseCatalog(text)
	if err != nil {
		db.t.Fatal(err)
	}
	return newState(c, at)
}

// oid returns the OID of a relation.
func (db *database) oid(name string) (oid uint32) {
	db.t.Helper()
	if err := db.QueryRow(db.t.Context(), "SELECT $1::text::regclass::oid", name).Scan(&oid); err != nil {
		db.t.Fatalf("oid of %s: %v", name, err)
	}
	return oid
}

// value returns the one value that a query yields, as text.
func (db *database) value(query string, arguments ...any) string {
	db.t.Helper()
	var text *string
	if err := db.QueryRow(db.t.Context(), "SELECT ("+query+")::text", arguments...).Scan(&text); err != nil {
		db.t.Fatalf("%s: %v", query, err)
	}
	if text == nil {
		return "NULL"
	}
	return *text
}
