package probe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
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
	dsn := installed(t, servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{"max_prepared_transactions": "5"}}), itemSchema)
	trace := func(conn *pgx.Conn) string {
		t.Helper()
		results, err := conn.PgConn().Exec(t.Context(), traceSQL).ReadAll()
		if err != nil || len(results) != 1 {
			t.Fatalf("%v, %v", results, err)
		}
		return fmt.Sprintf("%q", results[0].Rows)
	}
	for _, before := range unlike {
		conn := connect(t, dsn)
		execute(t, conn, before)
		was := trace(conn)
		for form, query := range queries {
			if results, err := conn.PgConn().Exec(t.Context(), string(query[protocol.HeaderLength:len(query)-1])).ReadAll(); err != nil || len(results[0].Rows) != 1 {
				t.Fatalf("behind %s, the probe %+v gave %v, %v", before, form, results, err)
			}
			if now := trace(conn); now != was {
				t.Errorf("behind %s, the probe %+v made of\n%s\nthis:\n%s", before, form, was, now)
			}
		}
		// Refused once PL/pgSQL is loaded, as it is by Freshet's own event triggers.
		if !strings.Contains(before, "CREATE") {
			execute(t, conn, "SET plpgsql.anything = 1")
		}
	}
}
