package servers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// changed runs statements one by one on a connection of its own, and returns once the server has
// counted what they did: a session counts last when it ends, and is listed until then.
func changed(t *testing.T, p *Postgres, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for statement := range strings.SplitSeq(sql, "; ") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	listed := fmt.Sprintf("SELECT count(*)::text FROM pg_stat_activity WHERE pid = %d", conn.PgConn().PID())
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the session to end", func() bool { return ask(t, p.DSN("postgres"), listed) == "0" })
}

// What tests do to roles on a server that others share is found at the end, also where nothing of it is
// left.
func TestChangeOfRolesOnASharedServerIsFoundAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql   string
		found bool
	}{
		"a database alone":        {sql: "CREATE DATABASE other"},
		"a role that stays":       {sql: "CREATE ROLE stays", found: true},
		"a role that is dropped":  {sql: "CREATE ROLE goes; DROP ROLE goes", found: true},
		"a limit of a role":       {sql: "ALTER ROLE postgres CONNECTION LIMIT -1", found: true},
		"a membership":            {sql: "GRANT pg_monitor TO freshet_follower", found: true},
		"a setting of a database": {sql: "ALTER DATABASE postgres SET work_mem = '1MB'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			launch, ended := launchOfSteadyRoles(PostgresOptions{})
			p, err := launch()
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			changed(t, p, c.sql)
			found := ended(p)
			if (found != nil) != c.found {
				t.Errorf("behind %s: %v, want a change of roles to be found: %v", c.sql, found, c.found)
			}
			if found != nil && !strings.Contains(found.Error(), "SharedPostgresOfRoles") {
				t.Errorf("the change is told as %q, want the server named that is for it", found)
			}
		})
	}
}
