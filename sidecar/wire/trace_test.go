package wire

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// TestReadsLeaveSessionsAsTheyWere: the sidecar's own questions on a session's connection give the
// session neither a temporary schema nor PL/pgSQL. Postgres would refuse PREPARE TRANSACTION to a
// session with the first, and the setting plpgsql.anything to one with the second.
func TestReadsLeaveSessionsAsTheyWere(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar()
	kept := bed.database // names a transaction of the test's own: the names are the whole server's
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
			t.Errorf("with the search_path %s the session has the temporary schema %d, %v, want 0, none", path, temporary, err)
		}
		mustExec(t, conn, "PREPARE TRANSACTION '"+kept+"'")
		mustExec(t, conn, "ROLLBACK PREPARED '"+kept+"'")
	}
	if s.Report().Bypasses[reasons.TemporaryPath] == 0 {
		t.Errorf("no read passed through for %s: %v", reasons.TemporaryPath, s.Report().Bypasses)
	}
}

// TestRoleMadeAnewIsNotAnsweredAsTheDroppedOne: a role is dropped, and another one is made with its
// name and without its rights. The new role must not be answered from entries of the dropped one.
func TestRoleMadeAnewIsNotAnsweredAsTheDroppedOne(t *testing.T) {
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
			t.Fatalf("before it is dropped, the role reads %s, want version 0", got)
		}
	}
	old.Close(t.Context())
	bed.exec("DROP ROLE " + member + "; CREATE ROLE " + member + " LOGIN")
	if got := asked(as(), false, sql); got != "42501" {
		t.Errorf("a session of the new role reads %s, want the error 42501", got)
	}
	if got := asMember(sql); got != "42501" {
		t.Errorf("a session that takes the new role reads %s, want the error 42501", got)
	}
}
