package wire

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// TestReadsLeaveSessionsAsTheyWere does through a sidecar what Postgres refuses a
// session that has a temporary schema, or PL/pgSQL.
func TestReadsLeaveSessionsAsTheyWere(t *testing.T) {
	t.Parallel()
	bed := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{"max_prepared_transactions": "5"}}), itemSchema)
	s := bed.sidecar()
	for _, path := range []string{"public", "pg_temp, public", "public, pg_temp"} {
		conn := s.connect()
		mustExec(t, conn, "SET search_path = "+path)
		for range 3 {
			mustExec(t, conn, "SELECT name FROM public.item WHERE id = 7", pgx.QueryExecModeSimpleProtocol)
		}
		mustExec(t, conn, "SET plpgsql.anything = 1")
		mustExec(t, conn, "BEGIN")
		var temporary uint32
		if err := conn.QueryRow(t.Context(), "SELECT pg_my_temp_schema()").Scan(&temporary); err != nil || temporary != 0 {
			t.Errorf("with %s the session has the temporary schema %d, %v", path, temporary, err)
		}
		mustExec(t, conn, "PREPARE TRANSACTION 'kept'")
		mustExec(t, conn, "ROLLBACK PREPARED 'kept'")
	}
	if s.Report().Bypasses[reasons.TemporaryPath] == 0 {
		t.Errorf("no read passed through for %s: %v", reasons.TemporaryPath, s.Report().Bypasses)
	}
}

// TestRoleMadeAnewIsAnother: a role that has the name of one that was dropped is not
// answered what that one was.
func TestRoleMadeAnewIsAnother(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, itemSchema)
	s := bed.sidecar()
	group, member := bed.database+"_group", bed.database+"_member"
	bed.exec(fmt.Sprintf("CREATE ROLE %[1]s; GRANT SELECT ON item TO %[1]s; CREATE ROLE %[2]s LOGIN; GRANT %[1]s TO %[2]s", group, member))
	t.Cleanup(func() { bed.exec(fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s, %[2]s", group, member)) })
	as := func() *pgx.Conn {
		return bed.connect(fmt.Sprintf("host=%s port=%d user=%s dbname=%s", s.dir, testPort, member, bed.database))
	}
	sql := "SELECT version FROM item WHERE id = 7"
	pooled := s.connect()
	asMember := func(sql string) string {
		mustExec(t, pooled, "SET ROLE "+member)
		defer mustExec(t, pooled, "RESET ROLE")
		return asked(pooled, false, sql)
	}
	old := as()
	s.warm(old)
	for range 3 {
		if got := asMember(sql); got != "[[0]] <nil>" {
			t.Fatalf("a member reads %s", got)
		}
	}
	old.Close(t.Context())
	bed.exec("DROP ROLE " + member + "; CREATE ROLE " + member + " LOGIN")
	if got := asked(as(), false, sql); got != "42501" {
		t.Errorf("who has the name now reads %s", got)
	}
	if got := asMember(sql); got != "42501" {
		t.Errorf("a session that takes the role now reads %s", got)
	}
}
