package probe

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

const itemSchema = `
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, version int NOT NULL DEFAULT 0);
INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) i;`

// installed makes a database with a schema and Freshet, whose incarnation is named as the
// first follower names it, and returns how to connect to it.
func installed(t *testing.T, pg *servers.Postgres, schema string) (dsn string) {
	t.Helper()
	dsn = pg.DSN(pg.CreateDatabase(t))
	conn := connect(t, dsn)
	execute(t, conn, schema)
	if _, err := invalidation.Install(t.Context(), conn, invalidation.Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	execute(t, conn, "INSERT INTO freshet.incarnation (token) VALUES ('one')")
	return dsn
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// execute runs statements as one simple query.
func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
