package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// localDifferentials are transactions that begin with a SET LOCAL of a tenant, a user or a limit, as
// Rails, Laravel and Hasura send them.
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
	{name: "a write behind SET LOCAL", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL app.note = 'first'"), query("SELECT name FROM item WHERE id = 1"), query("INSERT INTO scratch VALUES (1, current_setting('app.note'))"), query("COMMIT"),
		query("SELECT * FROM scratch"), query("BEGIN"), query("SET LOCAL app.note = 'second'"), query("SELECT name FROM item WHERE id = 1"),
		query("INSERT INTO scratch VALUES (2, current_setting('app.note'))"), query("SELECT * FROM scratch"), query("ROLLBACK"), query("SELECT * FROM scratch"),
	}},
	{name: "settings that are rolled back", hits: 2, steps: []step{
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SAVEPOINT s1"), query("SET LOCAL app.note = '2'"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK TO s1"),
		query("SELECT current_setting('app.note')"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SAVEPOINT s1"), query("SET LOCAL app.note = '2'"), query("RELEASE s1"), query("SELECT name FROM item WHERE id = 1"),
		query("SELECT current_setting('app.note')"), query("COMMIT AND CHAIN"), query("SELECT current_setting('app.note', true)"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("COMMIT AND CHAIN"), query("SELECT current_setting('app.note', true)"), query("COMMIT"),
	}},
	{name: "settings that Postgres refuses", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL statement_timeout = 'soon'"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL statement_timeout = 5000"), query("SET LOCAL statement_timeout = '-7'"), query("SELECT 1"), query("ROLLBACK"),
		query("BEGIN"), query(`SET LOCAL "app.not a name" = 1`), query("ROLLBACK"), query("BEGIN"), query("SET LOCAL plpgsql.check_asserts = 'perhaps'"), query("ROLLBACK"),
		query("SET LOCAL app.note = 'nowhere'"), query("SELECT name FROM item WHERE id = 1"),
		query("BEGIN"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("SET LOCAL app.note = '1'"), query("ROLLBACK"),
	}},
	{name: "settings that change answers", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"), query("SELECT ts FROM kinds WHERE id = 1"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SET LOCAL search_path = pg_catalog"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL app.note = '1'"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"), query("COMMIT"),
	}},
	{name: "sent without waiting for answers", steps: []step{
		{join(msgQuery("BEGIN"), msgQuery("SET LOCAL app.note = '1'"), msgQuery("SELECT name FROM item WHERE id = 1"), msgQuery("SELECT current_setting('app.note')"), msgQuery("COMMIT")), "ZZZZZ"},
		query("SELECT current_setting('app.note', true)"),
	}},
}

// localRolesSchema has a table note in each of three schemas, and the role login, which may
// become reader, who may read what login may read, and nobody, who may read nothing.
const localRolesSchema = differentialSchema + `
CREATE SCHEMA tenant_a; CREATE TABLE tenant_a.note (id int PRIMARY KEY, body text); INSERT INTO tenant_a.note VALUES (1, 'of a');
CREATE SCHEMA tenant_b; CREATE TABLE tenant_b.note (id int PRIMARY KEY, body text); INSERT INTO tenant_b.note VALUES (1, 'of b');
CREATE SCHEMA tenant_c; CREATE TABLE tenant_c.note (id int PRIMARY KEY, body varchar, more int); INSERT INTO tenant_c.note VALUES (1, 'of c', 3);
CREATE ROLE reader; CREATE ROLE nobody; CREATE ROLE login LOGIN NOINHERIT IN ROLE reader, nobody;
GRANT USAGE ON SCHEMA tenant_a, tenant_b, tenant_c TO reader, login;
GRANT SELECT ON item, kinds, scratch, tenant_a.note, tenant_b.note, tenant_c.note TO reader, login;
GRANT INSERT ON scratch, tenant_a.note TO login;`

const readNote = "SELECT body FROM note WHERE id = 1"

// setConfigs is an unnamed SELECT of one set_config for each pair of a name and a value. The
// values are parameters, as PostgREST sends them.
func setConfigs(pairs ...string) []byte {
	var calls, values []string
	for i := 0; i < len(pairs); i += 2 {
		calls = append(calls, fmt.Sprintf("set_config('%s', $%d, true)", pairs[i], i/2+1))
		values = append(values, pairs[i+1])
	}
	return join(msgParse("", "select "+strings.Join(calls, ", ")), msgBind("", values...), msgDescribe('P', ""), msgExecute("", 0))
}

// localStateDifferentials are transactions that begin with a role, a search path and settings.
var localStateDifferentials = []differential{
	{name: "search paths, in turn", hits: 6, steps: []step{
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a, public"), query(readNote), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL search_path TO tenant_b"), query(readNote), query(readNote), query("COMMIT"), query(readNote),
		query("BEGIN"), query("SELECT set_config('search_path', 'tenant_a', true)"), query(readNote), query("SELECT set_config('search_path', 'tenant_b', true)"), query(readNote), query("ROLLBACK"),
		query("BEGIN"), query(`SET LOCAL search_path = "tenant_c"`), query("SELECT * FROM note"), query("SHOW search_path"), query("SELECT * FROM note"), query("COMMIT"), query("SHOW search_path"),
	}},
	{name: "roles", hits: 4, steps: []step{
		query("BEGIN"), query("SET LOCAL ROLE reader"), query("SELECT name FROM item WHERE id = 1"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL ROLE 'nobody'"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"), query("SELECT name FROM item WHERE id = 1"),
		query("BEGIN"), query("SELECT set_config('role', 'reader', true) AS r"), query("SELECT name FROM item WHERE id = 1"), query("SELECT current_user FROM item WHERE id = 1"), query("RESET ROLE"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL ROLE no_such_role"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK"),
		query("BEGIN"), query("SELECT set_config('role', 'no such role', true)"), query("SELECT 1"), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL ROLE nobody"), query("SET LOCAL ROLE NONE"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
	}},
	{name: "as PostgREST names its user", hits: 4, steps: []step{
		query("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"),
		synced(setConfigs("search_path", `"tenant_a", "public"`, "role", "reader", "request.jwt.claims", `{"sub":"1"}`, "request.method", "GET")), synced(once(readNote)), query("COMMIT"),
		query("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"),
		synced(setConfigs("search_path", `"tenant_a", "public"`, "role", "reader", "request.jwt.claims", `{"sub":"2\\", "it's": "é"}`, "request.method", "GET")), synced(once(readNote)), synced(read("3")), synced(once("SELECT current_setting('request.jwt.claims')")), query("COMMIT"),
		query("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"),
		synced(setConfigs("search_path", `"tenant_b", "public"`, "role", "reader", "request.jwt.claims", `{"sub":"1"}`, "request.method", "HEAD")), synced(once(readNote)), query("COMMIT"),
		query("SELECT current_setting('request.jwt.claims', true), current_setting('role'), current_setting('search_path')"),
	}},
	{name: "BEGIN, set_config, read and COMMIT prepared by name", hits: 4, steps: []step{
		synced(msgParse("set", "select set_config('search_path', $1, true), set_config('role', $2, true), set_config($3, $4, true)", oidText, oidText, oidText, oidText)), synced(msgParse("begin", "BEGIN")), synced(msgParse("end", "COMMIT")),
		synced(msgBind("begin"), msgExecute("", 0)), synced(msgBind("set", "tenant_a", "reader", "app.x", "1"), msgDescribe('P', ""), msgExecute("", 0)),
		synced(msgParse("s", readNote), msgDescribe('S', "s")), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("end"), msgExecute("", 0)),
		synced(msgBind("begin"), msgExecute("", 0)), synced(msgBind("set", "tenant_b", "reader", "app.x", "1"), msgExecute("", 2)), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("end"), msgExecute("", 0)),
		synced(msgBind("begin"), msgExecute("", 0)), synced(msgBind("set", "tenant_c", "reader", "app.x", "1"), msgExecute("", 1)), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("end"), msgExecute("", 0)),
		synced(msgBind("begin"), msgExecute("", 0)), synced(msgBind("set", "tenant_a", "reader", "app.x", "1"), msgExecute("", 0)), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("end"), msgExecute("", 0)), synced(msgBind("s"), msgExecute("", 0)),
	}},
	{name: "set_config in one group with the read", hits: 2, steps: []step{
		query("BEGIN"), synced(setConfigs("search_path", "tenant_a"), once(readNote)), synced(once(readNote)), query("COMMIT"),
		synced(once("BEGIN"), setConfigs("search_path", "tenant_b", "app.y", ""), once(readNote)), synced(once("COMMIT")),
		synced(once("BEGIN"), setConfigs("search_path", "tenant_b", "app.y", "1"), once("SELECT 1/0 FROM scratch")), synced(once("COMMIT")), synced(once(readNote)),
	}},
	{name: "savepoints", hits: 6, steps: []step{
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query("SAVEPOINT s1"), query("SET LOCAL search_path TO tenant_b"), query(readNote), query("ROLLBACK TO s1"), query(readNote),
		query("SET LOCAL search_path TO tenant_c"), query(readNote), query("RELEASE s1"), query(readNote), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query("SAVEPOINT s1"), query("SET LOCAL search_path TO tenant_b"), query("SELECT random() > 2"), query(readNote), query("ROLLBACK TO s1"), query(readNote), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query(readNote), query("COMMIT AND CHAIN"), query(readNote), query("ROLLBACK"),
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query("SELECT random() > 2"), query(readNote), query("COMMIT AND CHAIN"), query(readNote), query("ROLLBACK"), query(readNote),
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query("SELECT 1/0 FROM note"), query("SET LOCAL search_path TO tenant_b"), query("ROLLBACK"), query(readNote),
	}},
	{name: "writes under a search path or role of the transaction", reset: "TRUNCATE scratch; DELETE FROM tenant_a.note WHERE id > 1", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query(readNote), query("INSERT INTO note VALUES (2, 'new')"), query("SELECT count(*) FROM note"), query("COMMIT"), query("SELECT count(*) FROM tenant_a.note"),
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), query("INSERT INTO note VALUES (2, 'twice')"), query("COMMIT"),
		query("BEGIN"), query("SET LOCAL ROLE reader"), query("INSERT INTO scratch VALUES (1, 'a')"), query("ROLLBACK"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT * FROM scratch"),
		{join(msgQuery("BEGIN"), msgQuery("SET LOCAL search_path TO tenant_a"), msgQuery("INSERT INTO note VALUES (3, 'third')"), msgQuery("COMMIT"), msgQuery(readNote), msgQuery("SELECT count(*) FROM tenant_a.note")), "ZZZZZZ"}, query("SELECT count(*) FROM tenant_a.note"),
	}},
	{name: "unnamed statements across changes of the search path", hits: 1, steps: []step{
		query("BEGIN"), query("SET LOCAL search_path TO tenant_a"), synced(msgParse("", readNote), msgDescribe('S', "")), synced(msgBind(""), msgExecute("", 0)), synced(msgBind(""), msgExecute("", 0)), query("COMMIT"),
		synced(once("BEGIN")), synced(setConfigs("search_path", "tenant_a")), synced(msgParse("", readNote), msgDescribe('S', "")), synced(once("SAVEPOINT s1")), synced(once(readNote)), synced(once("COMMIT")), synced(msgBind(""), msgExecute("", 0)),
		synced(once(nameOfItem1)), synced(once("BEGIN")), synced(setConfigs("search_path", "tenant_c")), synced(msgParse("", "SELECT * FROM note"), msgDescribe('S', "")), synced(msgBind(""), msgExecute("", 0)), synced(msgDescribe('S', "")), synced(once("COMMIT")),
	}},
	{name: "answers of set_config", steps: []step{
		query("BEGIN"), query("SELECT set_config('statement_timeout', '5000', true), set_config('work_mem', '8192', true)"), query("SHOW statement_timeout"), query("COMMIT"),
		query("BEGIN"), query("SELECT set_config('statement_timeout', '5000', true), set_config('app.x', '', true)"), query("COMMIT"),
		query("BEGIN"), query("SELECT set_config('statement_timeout', 'soon', true)"), query("COMMIT"), query("BEGIN"), query("SELECT set_config('no_such', 'a', true)"), query("COMMIT"),
		query("BEGIN"), query("SELECT set_config('app.x', $1, true)"), query("COMMIT"), query("SELECT set_config('app.x', '7', true)"), query("SHOW app.x"),
		query("BEGIN"), query("SELECT set_config('transaction_isolation', 'serializable', true)"), query("SHOW transaction_isolation"), query("COMMIT"),
		query("BEGIN"), synced(msgParse("", "SELECT set_config('app.x', $1, true)"), msgBind("", "1"), msgExecute("", 1)), synced(msgParse("", "SELECT set_config('app.x', $1, true)", oidInt4), msgBind("", "1"), msgExecute("", 0)), query("COMMIT"),
		query("BEGIN"), query("SELECT set_config('TimeZone', 'Asia/Tokyo', true)"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"), query("SELECT ts FROM kinds WHERE id = 1"),
	}},
}

const nameOfItem1 = "SELECT name FROM item WHERE id = 1"

// The transactions are those of the role login, as programs are usually no superusers.
func TestRolesAndSearchPathsOfTransactionsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	bed, s := newLocalRoles(t)
	for _, d := range localStateDifferentials {
		t.Run(d.name, func(t *testing.T) { d.compareAs(t, bed, s, "login") })
	}
}

// newLocalRoles starts a server with localRolesSchema and a sidecar before it. The server is not
// shared, since roles are the whole server's.
func newLocalRoles(t *testing.T) (*testbed, *side) {
	t.Helper()
	bed := newTestbedOn(t, servers.StartPostgres(t, servers.PostgresOptions{}), localRolesSchema)
	watch := []string{"public.*", "tenant_a.*", "tenant_b.*", "tenant_c.*"}
	if _, err := invalidation.Install(t.Context(), bed.direct, invalidation.Options{Watch: watch, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	return bed, bed.sidecar(patient, func(_ *engine.Options, o *invalidation.FollowerOptions) { o.Watch = watch })
}

func TestSettingsOfTransactionsAreAnsweredAsPostgresDoes(t *testing.T) {
	compareAll(t, localDifferentials)
}

// A load runs under the settings that its transaction has made before it, also where they were held
// back: a statement_timeout ends it.
func TestLoadRunsUnderTheSettingsBeforeIt(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	const (
		limit = "SET LOCAL statement_timeout = '100ms'"
		slow  = "SELECT count(*) FROM item, generate_series(1, 100000000) g WHERE item.id = 7"
	)
	conn := s.connect()
	s.warm(conn)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		for round := range 3 { // the first round proves the setting, and has the read analysed
			opened := s.Report().TransactionsOpened
			mustExec(t, conn, "BEGIN")
			mustExec(t, conn, limit, mode)
			if round > 0 && s.Report().TransactionsOpened != opened {
				t.Errorf("%v, round %d: the setting opened the transaction, want it held back", mode, round)
			}
			_, err := conn.Exec(t.Context(), slow, mode)
			var refusal *pgconn.PgError
			if !errors.As(err, &refusal) || refusal.Code != "57014" {
				t.Errorf("%v, round %d: the read ends with %v, want 57014, query_canceled", mode, round, err)
			}
			mustExec(t, conn, "ROLLBACK")
			s.analysed(slow)
		}
	}
}

// A role and a search path are rehearsed once, whatever value an application's setting beside them
// has in each transaction. From then on such a transaction with its read costs Postgres nothing.
func TestRehearsedTransactionsCostPostgresNothing(t *testing.T) {
	t.Parallel()
	bed, s := newLocalRoles(t)
	conn := bed.connect(s.dsn() + " user=login")
	request := func(claims string) {
		t.Helper()
		mustExec(t, conn, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", pgx.QueryExecModeSimpleProtocol)
		mustExec(t, conn, "select set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true)", pgx.QueryExecModeExec, "tenant_a", "reader", claims)
		mustExec(t, conn, readNote, pgx.QueryExecModeExec)
		mustExec(t, conn, "COMMIT", pgx.QueryExecModeSimpleProtocol)
	}
	servers.Eventually(t, "20 requests without a statement or a probe for Postgres", func() bool {
		before := s.Report()
		for i := range 20 {
			request(fmt.Sprintf(`{"sub":"%d"}`, i))
		}
		now := s.Report()
		return now.TransactionsOpened == before.TransactionsOpened && now.UpstreamProbes == before.UpstreamProbes && now.UpstreamQueries == before.UpstreamQueries
	})
}

// Forces the interleaving described in rehearse.go: a role loses its rights between two reads of a
// block that began with SET LOCAL ROLE. What was rehearsed holds no longer: the second read fails,
// and so does the next transaction.
func TestRehearsalEndsWithTheRightsOfItsRole(t *testing.T) {
	t.Parallel()
	bed, s := newLocalRoles(t)
	conn := bed.connect(s.dsn() + " user=login")
	begin := func() {
		t.Helper()
		for _, sql := range []string{"BEGIN", "SET LOCAL search_path TO tenant_a", "SET LOCAL ROLE reader"} {
			mustExec(t, conn, sql, pgx.QueryExecModeSimpleProtocol)
		}
	}
	reads := func() error {
		_, err := conn.Exec(t.Context(), readNote, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	// hits waits until a read of a whole transaction, which is held back, is a hit.
	hits := func() {
		t.Helper()
		servers.Eventually(t, "a hit under the role", func() bool {
			before, opened := s.count(HitL1), s.Report().TransactionsOpened
			begin()
			if err := reads(); err != nil {
				t.Fatal(err)
			}
			mustExec(t, conn, "COMMIT", pgx.QueryExecModeSimpleProtocol)
			return s.count(HitL1) > before && s.Report().TransactionsOpened == opened
		})
	}
	transaction := func() (err error) {
		for _, sql := range []string{"BEGIN", "SET LOCAL search_path TO tenant_a", "SET LOCAL ROLE reader", readNote} {
			if _, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				break
			}
		}
		mustExec(t, conn, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
		return err
	}
	for _, c := range []struct{ name, change, back string }{
		{"SELECT on the table", "REVOKE SELECT ON tenant_a.note FROM reader", "GRANT SELECT ON tenant_a.note TO reader"},
		{"USAGE of the schema", "REVOKE USAGE ON SCHEMA tenant_a FROM reader", "GRANT USAGE ON SCHEMA tenant_a TO reader"},
	} {
		hits()
		begin()
		if err := reads(); err != nil {
			t.Fatal(err)
		}
		bed.exec(c.change)
		s.received()
		if err := reads(); err == nil {
			t.Errorf("without %s, the next read in the block is answered, want an error", c.name)
		}
		mustExec(t, conn, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
		if transaction() == nil {
			t.Errorf("without %s, a read in the next transaction is answered, want an error", c.name)
		}
		bed.exec(c.back)
		s.received()
	}
	hits()
	bed.exec("REVOKE reader FROM login") // no event reports this
	servers.Eventually(t, "the role to be refused", func() bool { return transaction() != nil })
}
