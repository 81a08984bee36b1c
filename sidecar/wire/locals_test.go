package wire

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// localDifferentials are transactions as programs begin them that name a tenant, a user or
// a limit in each: Rails, Laravel and Hasura, in the words that these send.
var localDifferentials = []differential{
	{name: "a limit, as Rails sets it", hits: 3, steps: []step{
		query("BEGIN"), query("SET LOCAL statement_timeout = 5000"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL statement_timeout = 5000"), query("SELECT name FROM item WHERE id = 1"), synced(read("3")), query("SHOW statement_timeout"),
		query("SELECT name FROM item WHERE id = 1"), query("COMMIT"), query("SHOW statement_timeout"),
	}},
	{name: "a tenant, as Laravel names it", hits: 3, steps: []step{
		query("BEGIN"), synced(msgParse("pdo_stmt_00000001", "SET LOCAL app.current_tenant = '7'")), synced(msgBind("pdo_stmt_00000001"), msgExecute("", 0)), query("DEALLOCATE pdo_stmt_00000001"),
		query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL app.current_tenant = '8'"), query("SELECT name FROM item WHERE id = 1"), query("SELECT current_setting('app.current_tenant')"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"),
		query("SELECT current_setting('app.current_tenant', true)"),
	}},
	{name: "a user, as Hasura names it", hits: 2, steps: []step{
		synced(once("BEGIN")), synced(once(`SET LOCAL "hasura.user" = '{"x-hasura-role":"user","x-hasura-user-id":"1"}'`)), synced(read("3")), synced(once("COMMIT")),
		synced(once("BEGIN"), once(`SET LOCAL "hasura.user" = '{"x-hasura-role":"user","x-hasura-user-id":"it''s 2"}'`), read("3")), synced(once("SELECT current_setting('hasura.user')")), synced(once("COMMIT")),
		synced(once("BEGIN"), once(`SET LOCAL "hasura.user" = '3'`), once("SELECT 1/0 FROM scratch")), synced(read("3")), synced(once("COMMIT")),
	}},
	{name: "written under one", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL app.note = 'first'"), query("SELECT name FROM item WHERE id = 1"), query("INSERT INTO scratch VALUES (1, current_setting('app.note'))"), query("COMMIT"),
		query("SELECT * FROM scratch"), query("BEGIN"), query("SET LOCAL app.note = 'second'"), query("SELECT name FROM item WHERE id = 1"),
		query("INSERT INTO scratch VALUES (2, current_setting('app.note'))"), query("SELECT * FROM scratch"), query("ROLLBACK"), query("SELECT * FROM scratch"),
	}},
	{name: "taken back", hits: 2, steps: []step{
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SAVEPOINT s1"), query("SET LOCAL app.note = '2'"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK TO s1"),
		query("SELECT current_setting('app.note')"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SAVEPOINT s1"), query("SET LOCAL app.note = '2'"), query("RELEASE s1"), query("SELECT name FROM item WHERE id = 1"),
		query("SELECT current_setting('app.note')"), query("COMMIT AND CHAIN"), query("SELECT current_setting('app.note', true)"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("COMMIT AND CHAIN"), query("SELECT current_setting('app.note', true)"), query("COMMIT"),
	}},
	{name: "refused", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL statement_timeout = 'soon'"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL statement_timeout = 5000"), query("SET LOCAL statement_timeout = '-7'"), query("SELECT 1"), query("ROLLBACK"),
		query("BEGIN"), query(`SET LOCAL "app.not a name" = 1`), query("ROLLBACK"), query("BEGIN"), query("SET LOCAL plpgsql.check_asserts = 'perhaps'"), query("ROLLBACK"),
		query("SET LOCAL app.note = 'nowhere'"), query("SELECT name FROM item WHERE id = 1"),
		query("BEGIN"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("SET LOCAL app.note = '1'"), query("ROLLBACK"),
	}},
	{name: "those that change answers", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"), query("SELECT ts FROM kinds WHERE id = 1"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SET LOCAL search_path = pg_catalog"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"), query("COMMIT"),
	}},
	{name: "sent without waiting for answers", steps: []step{
		{join(msgQuery("BEGIN"), msgQuery("SET LOCAL app.note = '1'"), msgQuery("SELECT name FROM item WHERE id = 1"), msgQuery("SELECT current_setting('app.note')"), msgQuery("COMMIT")), "ZZZZZ"},
		query("SELECT current_setting('app.note', true)"),
	}},
}

func TestSettingsOfTransactionsAreAnsweredAsPostgresDoes(t *testing.T) {
	compareAll(t, localDifferentials)
}

// A load behind a setting that is held back runs under it: a limit ends it.
func TestLoadRunsUnderTheSettingsBeforeIt(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	const (
		limit = "SET LOCAL statement_timeout = '100ms'"
		slow  = "SELECT count(*) FROM item, generate_series(1, 100000000) g WHERE item.id = 7"
	)
	conn := s.connect()
	s.warm(conn)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		for round := range 3 { // the setting is proven, the read is analysed, both are known
			opened := s.Report().TransactionsOpened
			mustExec(t, conn, "BEGIN")
			mustExec(t, conn, limit, mode)
			if round > 0 && s.Report().TransactionsOpened != opened {
				t.Errorf("round %d: the setting was not held back", round)
			}
			_, err := conn.Exec(t.Context(), slow, mode)
			var refusal *pgconn.PgError
			if !errors.As(err, &refusal) || refusal.Code != "57014" {
				t.Errorf("round %d: the read ends with %v", round, err)
			}
			mustExec(t, conn, "ROLLBACK")
			s.analysed(slow)
		}
	}
}
