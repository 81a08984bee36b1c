package analysis

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// Literals of statements stand in Postgres' log only where the role cannot help it,
// and then the operator is told once, with what mends it.
func TestStatementsStayOutOfTheServersLog(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	b := setupOn(t, pg)
	b.exec(t, `CREATE ROLE reader LOGIN`)
	written := func() string { return pg.LogTail(100_000) }
	analyse := func(logger *slog.Logger, literal string) {
		t.Helper()
		config, err := pgx.ParseConfig(b.dsn)
		if err != nil {
			t.Fatal(err)
		}
		config.User = "reader"
		a, err := New(Options{ConnConfig: config, Watch: func() Watch { return b.watch }, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for range 2 {
			a.Forget()
			if _, err := a.Analyze(context.Background(), Request{SQL: "SELECT id FROM public.users WHERE name = '" + literal + "'", SearchPath: []string{"pg_catalog", "public"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var told bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&told, nil))
	analyse(logger, "seen by everybody")
	if !strings.Contains(written(), "seen by everybody") {
		t.Fatal("the server does not log what it should: this test shows nothing")
	}
	var version int
	if err := b.conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	remedy := silencingSQL("reader", version)
	if strings.Count(told.String(), remedy) != 1 {
		t.Errorf("told %s", told.String())
	}
	b.exec(t, remedy)
	told.Reset()
	trees := strings.Count(written(), dumpTitle)
	analyse(logger, "seen by nobody")
	if strings.Contains(written(), "seen by nobody") || told.Len() > 0 {
		t.Errorf("logged, or told %s", told.String())
	}
	if n := strings.Count(written(), dumpTitle) - trees; n > 0 {
		t.Errorf("the server logs %d trees of the session's own questions", n)
	}
}
