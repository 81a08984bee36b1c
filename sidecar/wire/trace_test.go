package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// traceSQL is what a session may be changed by that is asked something. A few
// settings are in no list.
const traceSQL = `SELECT pg_my_temp_schema(), pg_current_xact_id_if_assigned(),
	(SELECT array_agg(nspname ORDER BY 1) FROM pg_namespace), (SELECT count(*) FROM pg_proc),
	(SELECT array_agg(name || from_sql ORDER BY 1) FROM pg_prepared_statements), (SELECT array_agg(name) FROM pg_cursors),
	(SELECT array_agg(c) FROM pg_listening_channels() c),
	(SELECT array_agg((name, setting, source, reset_val)::text ORDER BY name) FROM pg_settings),
	current_setting('role'), current_setting('session_authorization'), current_setting('plpgsql.extra_errors', true),
	(SELECT array_agg((locktype, relation::regclass, mode)::text ORDER BY 1) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid'),
	(SELECT array_agg((l.locktype, l.mode, l.objid)::text ORDER BY 1) FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype IN ('advisory', 'object'))`

// unlike is what a session may be in before a probe.
var unlike = []string{
	"SELECT 1", "SET search_path = pg_temp", "SET search_path = pg_temp, public", "SET search_path = public, pg_temp",
	"SELECT set_config('search_path', '\"pg_temp\"', false)", "SELECT set_config('search_path', 'nowhere, PG_TEMP, public', false)",
	"SET search_path = ''", "SET search_path = nowhere", "SET check_function_bodies = off; SET quote_all_identifiers = on",
	"CREATE TEMP TABLE mine (); SET search_path = pg_temp", "SET default_transaction_isolation = serializable",
}

// TestProbeLeavesNoTrace: after a probe of any form a session is as it was before.
func TestProbeLeavesNoTrace(t *testing.T) {
	t.Parallel()
	bed := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{"max_prepared_transactions": "5"}}), itemSchema)
	bed.sidecar() // names the incarnation
	trace := func(conn *pgx.Conn) string {
		t.Helper()
		results, err := conn.PgConn().Exec(t.Context(), traceSQL).ReadAll()
		if err != nil || len(results) != 1 {
			t.Fatalf("%v, %v", results, err)
		}
		return fmt.Sprintf("%q", results[0].Rows)
	}
	for _, before := range unlike {
		conn := bed.connect(bed.postgres.DSN(bed.database))
		if _, err := conn.PgConn().Exec(t.Context(), before).ReadAll(); err != nil {
			t.Fatal(err)
		}
		was := trace(conn)
		for form, query := range probeQueries {
			if results, err := conn.PgConn().Exec(t.Context(), string(query[protocol.HeaderLength:len(query)-1])).ReadAll(); err != nil || len(results[0].Rows) != 1 {
				t.Fatalf("behind %s, the probe %+v gave %v, %v", before, form, results, err)
			}
			if now := trace(conn); now != was {
				t.Errorf("behind %s, the probe %+v made of\n%s\nthis:\n%s", before, form, was, now)
			}
		}
		// Refused once PL/pgSQL is loaded, as it is by Freshet's own event triggers.
		if !strings.Contains(before, "CREATE") {
			mustExec(t, conn, "SET plpgsql.anything = 1")
		}
	}
}

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
	bed := newTestbed(t, itemSchema)
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
