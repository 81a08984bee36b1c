package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// The tests of this file go through what the wire must get right, by the numbers
// of the list of cases in docs/protocol.md. Most play a script directly and through
// a sidecar and compare the bytes; see differential_test.go.

const casesSchema = differentialSchema + `
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.item (id int PRIMARY KEY, name text NOT NULL, version int NOT NULL DEFAULT 0);
INSERT INTO elsewhere.item VALUES (3, 'elsewhere', 9);
CREATE TABLE nullable (id int PRIMARY KEY, n int);
INSERT INTO nullable VALUES (1, NULL), (2, 2);
CREATE TABLE secret (id int PRIMARY KEY, owner text, body text);
INSERT INTO secret VALUES (1, 'one', 'of one'), (2, 'two', 'of two');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_setting('app.user', true));
DO $$ BEGIN CREATE ROLE case_reader; EXCEPTION WHEN OTHERS THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE case_writer; EXCEPTION WHEN OTHERS THEN NULL; END $$;
CREATE SCHEMA case_reader;
CREATE TABLE case_reader.item AS SELECT 3 AS id, 'of reader' AS name, 8 AS version;
GRANT USAGE ON SCHEMA case_reader, elsewhere TO case_reader, case_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA public, case_reader, elsewhere TO case_reader;
GRANT SELECT ON secret TO case_writer;
GRANT SELECT (id) ON item TO case_writer;
CREATE FUNCTION change_path() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'elsewhere', false); END $$;
CREATE FUNCTION make_temporary() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMPORARY TABLE item (id int, name text, version int); INSERT INTO item VALUES (3, 'temporary', 0); END $$;`

// compareCase plays scripts directly and through a sidecar, on a database of their own, and compares
// the answers.
func compareCase(t *testing.T, scripts ...differential) *side {
	t.Helper()
	t.Parallel()
	bed := newCopiedTestbed(t, servers.SharedPostgresOfRoles(t), casesSchema, "public.*", "elsewhere.*")
	s := bed.sidecar()
	for _, d := range scripts {
		t.Run(d.name, func(t *testing.T) { d.compare(t, bed, s) })
	}
	return s
}

// wantBypasses requires that statements were passed through for each reason.
func (s *side) wantBypasses(reasons ...string) {
	s.bed.t.Helper()
	report := s.Report()
	for _, reason := range reasons {
		if report.Bypasses[reason] == 0 {
			s.bed.t.Errorf("nothing was passed through for %s: %v", reason, report.Bypasses)
		}
	}
}

const readItem3 = "SELECT * FROM item WHERE id = 3"

// queries are steps of simple queries, one each.
func queries(texts ...string) (steps []step) {
	for _, text := range texts {
		steps = append(steps, query(text))
	}
	return steps
}

func TestCase07FunctionsWithEffectsPassThrough(t *testing.T) {
	s := compareCase(t, differential{name: "effects", hits: 2, steps: queries(
		readItem3, "SELECT pg_advisory_lock(41), pg_try_advisory_xact_lock(42)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
		readItem3, "SELECT pg_advisory_unlock(41)", "SELECT pg_advisory_unlock(41)", "SELECT pg_advisory_unlock_all()",
		"SELECT pg_sleep(0)", "SELECT lo_create(4711)", "SELECT lo_get(4711)", "SELECT lo_unlink(4711)", "SELECT pg_notify('nobody', 'x')", readItem3,
		"SELECT ts FROM kinds WHERE id = 1", "SELECT set_config('TimeZone', 'Asia/Tokyo', false)", "SELECT ts FROM kinds WHERE id = 1",
		"SELECT set_config('TimeZone', 'Asia/Seoul', true)", "SELECT ts FROM kinds WHERE id = 1", "SELECT change_path()", readItem3,
		"SELECT dblink('x', 'y')",
	)})
	s.wantBypasses("volatile_function", "setting_dependent", "user_function")
}

// Writes inside EXPLAIN, a CTE, a function, DO, EXECUTE, COPY or MERGE reach Postgres and end the
// answers that they change: the writer's next read shows the write, and so does another client's
// once the event was received.
func TestCase09HiddenWritesEndWhatTheyChange(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, casesSchema+`
CREATE FUNCTION hidden(v int) RETURNS int LANGUAGE sql AS 'UPDATE item SET version = v WHERE id = 7 RETURNING version';`)
	s := bed.sidecar()
	writer, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
	s.learnExtended(other)
	for i, sql := range []string{
		"EXPLAIN ANALYZE UPDATE item SET version = 1 WHERE id = 7",
		"WITH w AS (UPDATE item SET version = 2 WHERE id = 7 RETURNING *) SELECT count(*) FROM w",
		"SELECT hidden(3)",
		"DO 'BEGIN UPDATE item SET version = 4 WHERE id = 7; END'",
		"PREPARE w AS UPDATE item SET version = 5 WHERE id = 7; EXECUTE w",
		"COPY (UPDATE item SET version = 6 WHERE id = 7 RETURNING 1) TO STDOUT",
		"MERGE INTO item USING (VALUES (7)) v (id) ON v.id = item.id WHEN MATCHED THEN UPDATE SET version = 7",
	} {
		writer.ask(msgQuery(sql))
		version := string(rune('1' + i))
		if answer := writer.ask(read("7"), msgSync); !bytes.Contains(answer, []byte("\x00\x00\x00\x01"+version+"C")) {
			t.Errorf("behind %s the writer does not read version %s, which it wrote, but\n%s", sql, version, show(answer))
		}
		s.received()
		s.wantVersionFromCache(other, version)
	}
}

func TestCase10TemporaryTablesHideOthers(t *testing.T) {
	// Computed columns, since plain ones are described with the identifier of their table, and that
	// of a temporary table is another in each run.
	hidden := "SELECT name || version FROM item WHERE id = 3"
	extended := synced(msgParse("", hidden), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
	s := compareCase(t, differential{name: "temporary tables", hits: 1, steps: append(append(queries(
		hidden, "CREATE TEMP TABLE item (id int, name text, version int)", hidden, "INSERT INTO item VALUES (3, 'temporary', 1)", hidden,
		"SELECT * FROM public.item WHERE id = 3"), extended, synced(msgParse("", "DROP TABLE item"), msgBind(""), msgExecute("", 0)), extended),
		queries(hidden, "SELECT make_temporary()", hidden, "DISCARD TEMP", hidden, "BEGIN", "CREATE TEMP TABLE item (name text, version int, id int) ON COMMIT DROP", hidden, "COMMIT", hidden)...,
	)}, differential{name: "only in a function", hits: 1, steps: queries(hidden, "SELECT make_temporary()", hidden, "SELECT count(*) FROM item")})
	s.wantBypasses(reasons.Temporary)
}

// A session keeps its temporary schema for life. While that is empty, it hides no table.
func TestCase10EmptyTemporarySchemaHidesNothing(t *testing.T) {
	hidden := "SELECT name || version FROM item WHERE id = 3"
	own := "SELECT array_to_string(current_schemas(true), ',') LIKE 'pg_temp_%'"
	s := compareCase(t, differential{name: "dropped", hits: 4, steps: queries(
		hidden, own, "CREATE TEMP TABLE passing (id int)", hidden, "DROP TABLE passing", hidden, hidden, own, own,
		"CREATE FUNCTION pg_temp.helper() RETURNS int LANGUAGE sql AS 'SELECT 1'", hidden, "DROP FUNCTION pg_temp.helper()", hidden,
		"CREATE TEMP VIEW item AS SELECT 'view' AS name, 1 AS version, 3 AS id", hidden, "DROP VIEW item", hidden,
	)}, differential{name: "dropped in a block", hits: 1, steps: queries(
		"CREATE TEMP TABLE item (name text, version int, id int)", "INSERT INTO item VALUES ('temporary', 1, 3)", hidden,
		"BEGIN", "DROP TABLE item", hidden, "ROLLBACK", hidden,
		"BEGIN", "SAVEPOINT a", "DROP TABLE item", hidden, "ROLLBACK TO a", hidden, "COMMIT", hidden,
		"BEGIN", "DROP TABLE item", "COMMIT", hidden, "BEGIN", "CREATE TEMP TABLE item (name text, version int, id int) ON COMMIT DROP", hidden, "COMMIT", hidden,
	)}, differential{name: "made by functions", hits: 1, steps: queries(
		hidden, "SELECT make_temporary()", hidden, "DROP TABLE item", hidden, hidden, "SELECT make_temporary()", hidden, "DISCARD TEMP", hidden,
	)})
	s.wantBypasses(reasons.Temporary)
}

func TestCase11SearchPathIsInTheKey(t *testing.T) {
	s := compareCase(t,
		differential{name: "in the session", hits: 9, steps: append(queries(
			readItem3, "SET search_path = elsewhere, public", readItem3, "SELECT * FROM nullable WHERE id = 2", "SHOW search_path", "RESET search_path", readItem3,
			"SET search_path = ''", readItem3, "SET search_path = nowhere, public", readItem3, "SET SCHEMA 'elsewhere'", readItem3, "DISCARD ALL", readItem3,
			"BEGIN", "SET LOCAL search_path = elsewhere", readItem3, "ROLLBACK", readItem3,
			"BEGIN", "SET search_path = elsewhere", readItem3, "ROLLBACK", readItem3,
			"BEGIN", "SAVEPOINT a", "SET search_path = elsewhere", "ROLLBACK TO a", readItem3, "COMMIT",
			"SELECT change_path()", readItem3, "SELECT set_config('search_path', 'public', false)", readItem3),
			synced(msgParse("", "SET search_path = elsewhere"), msgBind(""), msgExecute("", 0)), synced(read("3")), query(readItem3))},
		differential{name: "of the role", hits: 2, steps: queries(
			readItem3, `SET search_path = "$user", public`, readItem3, "SET ROLE case_reader", readItem3, "RESET ROLE", readItem3,
			"SET SESSION AUTHORIZATION case_reader", readItem3, "RESET SESSION AUTHORIZATION", readItem3)},
		differential{
			name: "of the database", hits: 1, reset: "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere', current_database()); END $$",
			steps: queries("SHOW search_path", readItem3, readItem3),
		},
	)
	s.wantBypasses("user_function")
}

// Each setting that decides how a value is written makes other answers, also a setting whose
// changes Postgres does not report.
func TestCase12SettingsOfTheTextOfValuesAreInTheKey(t *testing.T) {
	var scripts []differential
	for setting, values := range map[string][3]string{ // two values, and a read whose answer depends on the setting
		"TimeZone":                    {"'Asia/Tokyo'", "'UTC'", "SELECT ts, ts::text FROM kinds WHERE id = 1"},
		"DateStyle":                   {"German", "'SQL, DMY'", "SELECT ts, ts::date FROM kinds WHERE id = 1"},
		"IntervalStyle":               {"iso_8601", "sql_standard", "SELECT ts - '2024-01-01' FROM kinds WHERE id = 1"},
		"extra_float_digits":          {"-5", "3", "SELECT f / 3 FROM kinds WHERE id = 1"},
		"bytea_output":                {"escape", "hex", "SELECT b FROM kinds WHERE id = 1"},
		"lc_monetary":                 {"'C'", "'POSIX'", "SELECT 12.3::money FROM kinds WHERE id = 1"},
		"lc_numeric":                  {"'C'", "'POSIX'", "SELECT to_char(n, '9G999D9') FROM kinds WHERE id = 1"},
		"lc_time":                     {"'C'", "'POSIX'", "SELECT to_char(ts, 'TMDay') FROM kinds WHERE id = 1"},
		"standard_conforming_strings": {"off", "on", `SELECT length('\\') FROM kinds WHERE id = 1`},
	} {
		read := values[2]
		scripts = append(scripts, differential{name: setting, hits: 3, steps: queries(
			read, read, "SET "+setting+" = "+values[0], read, read, "SET "+setting+" = "+values[1], read, "RESET "+setting, read,
			"BEGIN", "SET LOCAL "+setting+" = "+values[0], read, "COMMIT", read, "SELECT set_config('"+setting+"', "+quoted(values[0])+", false)", read, "RESET ALL", read,
		)})
	}
	s := compareCase(t, append(scripts,
		differential{name: "client_encoding", steps: queries("SELECT name FROM item WHERE id = 3", "SET client_encoding = LATIN1", "SELECT 'ü' || name FROM item WHERE id = 3", "RESET client_encoding", "SELECT 'ü' || name FROM item WHERE id = 3")},
		// Postgres keeps this name of UTF8 as it was written.
		differential{name: "UTF8 by another name", hits: 3, steps: queries("SET client_encoding = 'UNICODE'", "SELECT 'ü' || name FROM item WHERE id = 3", "SHOW client_encoding", "SELECT 'ü' || name FROM item WHERE id = 3", "SET client_encoding = 'utf-8'", "SELECT 'ü' || name FROM item WHERE id = 3")},
		differential{name: "xmlbinary", steps: queries("SELECT xmlelement(name x, b) FROM kinds WHERE id = 1", "SET xmlbinary = hex", "SELECT xmlelement(name x, b) FROM kinds WHERE id = 1")},
	)...)
	s.wantBypasses(reasons.Encoding)
}

// quoted puts a value into quotes unless it has them.
func quoted(value string) string {
	if strings.HasPrefix(value, "'") {
		return value
	}
	return "'" + value + "'"
}

func TestCase13SettingsOfTheMeaningOfTextsAreInTheKey(t *testing.T) {
	isNull, nulls := "SELECT id FROM nullable WHERE n = NULL", "SELECT '{NULL,1}'::text[], id FROM nullable WHERE id = 2"
	s := compareCase(t,
		differential{name: "texts", hits: 6, steps: queries(
			isNull, "SET transform_null_equals = on", isNull, "RESET transform_null_equals", isNull,
			nulls, "SET array_nulls = off", nulls, "RESET array_nulls", nulls,
			"SELECT to_tsvector(name) FROM item WHERE id = 3", "SET default_text_search_config = 'pg_catalog.english'", "SELECT to_tsvector('the ' || name) FROM item WHERE id = 3",
			"SET default_text_search_config = 'pg_catalog.simple'", "SELECT to_tsvector('the ' || name) FROM item WHERE id = 3")},
		differential{name: "plans", hits: 3, steps: queries(
			readItem3, "SET enable_indexscan = off", readItem3, "SET enable_seqscan = off", readItem3, "RESET ALL", readItem3)},
		differential{name: "custom settings", hits: 1, steps: queries(
			readItem3, "SET app.user = 'one'", "SELECT current_setting('app.user')", "SET app.user = 'two'", "SELECT current_setting('work_mem')", "SELECT current_setting('app.user') FROM item WHERE id = 3", readItem3)},
		differential{name: "row_security", steps: queries(
			"SET ROLE case_reader", "SELECT * FROM secret", "SET row_security = off", "SELECT * FROM secret", "SELECT * FROM secret WHERE id = 1")},
	)
	s.wantBypasses("setting_dependent", "row_security")
}

func TestCase14RolesAndRightsDecideWhatIsAnswered(t *testing.T) {
	readID := "SELECT id FROM item WHERE id = 3"
	compareCase(t,
		differential{name: "roles", hits: 3, steps: append(queries(
			readItem3, "SELECT current_user, session_user, id FROM item WHERE id = 3", "SET ROLE case_reader", readItem3, "SELECT current_user, session_user, id FROM item WHERE id = 3",
			"SET ROLE case_writer", readItem3, readID, "SELECT count(*) FROM nullable", "RESET ROLE", readItem3, "SELECT count(*) FROM nullable",
			"SET SESSION AUTHORIZATION case_writer", readItem3, readID, "SET ROLE case_reader", "RESET SESSION AUTHORIZATION", readItem3,
			"BEGIN", "SET LOCAL ROLE case_writer", readItem3, "ROLLBACK", readItem3),
			synced(msgParse("", "SET ROLE case_writer"), msgBind(""), msgExecute("", 0)), synced(read("3")), query(readItem3))},
		differential{name: "granted", reset: "GRANT SELECT ON item TO case_writer", hits: 1, steps: queries("SET ROLE case_writer", readItem3, readItem3, readItem3)},
		differential{name: "revoked", reset: "REVOKE SELECT ON item FROM case_writer; GRANT SELECT (id) ON item TO case_writer", steps: queries("SET ROLE case_writer", readItem3, readID)},
		differential{name: "only the key left", reset: "REVOKE ALL ON item FROM case_writer; GRANT SELECT (id) ON item TO case_writer", steps: queries("SET ROLE case_writer", readItem3, readID)},
	)
}

func TestCase15RowSecurityIsTransparent(t *testing.T) {
	own := "SELECT * FROM secret ORDER BY id"
	s := compareCase(t, differential{name: "policies", hits: 1, steps: append(queries(
		own, "SET ROLE case_reader", own, "SET app.user = 'one'", own, own, "SET app.user = 'two'", own, "SET ROLE case_writer", own, "RESET ROLE", own),
		synced(msgParse("", own), msgBind(""), msgExecute("", 0)), synced(msgParse("", own), msgBind(""), msgExecute("", 0)))})
	s.wantBypasses("row_security")
}

// VACUUM and CLUSTER fire no event, since they change no answer but for the order of its rows.
func TestCase27VacuumAndClusterChangeNoAnswer(t *testing.T) {
	compareCase(t, differential{name: "maintenance", hits: 4, steps: queries(
		readItem3, "VACUUM item", readItem3, "VACUUM (FULL) item", readItem3, "CLUSTER item USING item_pkey", readItem3, "ANALYZE item", readItem3, "REINDEX TABLE item", readItem3)})
}

func TestCase28SeveralStatementsInOneQueryPassThrough(t *testing.T) {
	s := compareCase(t, differential{name: "several", hits: 2, reset: "TRUNCATE scratch", steps: queries(
		readItem3, "SELECT 1; "+readItem3, readItem3+"; "+readItem3, readItem3+";", "INSERT INTO scratch VALUES (1, 'a'); SELECT * FROM scratch", "SELECT * FROM scratch",
		"INSERT INTO scratch VALUES (2, 'b'); SELECT 1/0", "SELECT * FROM scratch", "UPDATE scratch SET t = 'c'; SELECT * FROM scratch; COMMIT", "SELECT * FROM scratch",
		"BEGIN; DELETE FROM scratch; ROLLBACK; SELECT * FROM scratch", "SELECT * FROM scratch", "BEGIN; "+readItem3, readItem3, "COMMIT; "+readItem3,
		"SET TimeZone = 'Asia/Tokyo'; SELECT ts FROM kinds WHERE id = 1", "SELECT ts FROM kinds WHERE id = 1", ";;", readItem3)})
	s.wantBypasses("multiple_statements")
}

func TestCase29UncommittedRowsAreSeenByTheirSessionAlone(t *testing.T) {
	t.Run("own writes, savepoints, isolation", func(t *testing.T) {
		compareCase(t, differential{name: "transactions", reset: "TRUNCATE scratch", hits: 2, steps: queries(
			readItem3, "BEGIN", readItem3, "INSERT INTO scratch VALUES (1, 'a')", "SELECT * FROM scratch", readItem3, "SAVEPOINT a", "UPDATE scratch SET t = 'b'",
			"SELECT * FROM scratch", "ROLLBACK TO a", "SELECT * FROM scratch", "COMMIT", "SELECT * FROM scratch",
			"BEGIN", "DELETE FROM scratch", "SELECT * FROM scratch", "ROLLBACK", "SELECT * FROM scratch",
			"BEGIN ISOLATION LEVEL REPEATABLE READ", readItem3, "SELECT * FROM scratch", "COMMIT", "BEGIN ISOLATION LEVEL SERIALIZABLE", readItem3, "COMMIT",
			"BEGIN READ ONLY", readItem3, "DELETE FROM scratch", "ROLLBACK", readItem3)})
	})
	t.Run("what is not committed is not captured", func(t *testing.T) {
		t.Parallel()
		s := lentSidecar(t)
		writer, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
		s.learnExtended(other)
		writer.ask(msgQuery("BEGIN"))
		writer.ask(msgQuery("UPDATE item SET version = 5 WHERE id = 7"))
		for range 3 {
			if answer := string(writer.ask(read("7"), msgSync)); !strings.Contains(answer, "\x00\x00\x00\x015C") {
				t.Fatalf("the writer does not read its own version: %q", answer)
			}
			s.wantVersionFromCache(other, "0")
		}
		writer.ask(msgQuery("COMMIT"))
		s.received()
		s.wantVersionFromCache(other, "5")
	})
}

func TestCase30FailedTransactionsAreAnsweredByPostgres(t *testing.T) {
	s := compareCase(t, differential{name: "failed", hits: 2, steps: append(append(queries(
		readItem3, "BEGIN", "SELECT 1/0", readItem3, "SELECT 1"), synced(read("3")), synced(msgParse("s", readItem)), synced(msgParse("", ""), msgBind(""), msgExecute("", 0))),
		queries("COMMIT", readItem3, "BEGIN", "SAVEPOINT a", "SELECT nothing", readItem3, "ROLLBACK TO a", readItem3, "COMMIT", readItem3)...)})
	s.wantBypasses(reasons.Failed)
}

func TestCase31CursorsAndPortalsActAsInPostgres(t *testing.T) {
	all := "SELECT id FROM item ORDER BY id LIMIT 5"
	compareCase(t,
		differential{name: "executed in portions", hits: 1, steps: []step{
			synced(read("3")), synced(msgParse("", all), msgBind(""), msgExecute("", 2), msgExecute("", 2), msgExecute("", 2), msgExecute("", 0)),
			synced(msgParse("", all), msgBind(""), msgExecute("", 0), msgExecute("", 0)), synced(msgParse("", all), msgBind(""), msgDescribe('P', ""), msgExecute("", 5)),
			synced(msgParse("", all), msgBind(""), msgExecute("", 6)), synced(msgExecute("", 0)),
		}},
		differential{name: "named portals", hits: 1, steps: []step{
			query(all), query("BEGIN"), synced(msgParse("", all), binding{portal: "p"}.message(), msgExecute("p", 2)),
			query(all), synced(msgExecute("p", 1)), synced(msgDescribe('P', "p"), msgExecute("p", 0)), synced(msgClose('P', "p")), synced(msgExecute("p", 0)), query("ROLLBACK"), query(all),
		}},
		differential{name: "cursors", hits: 1, steps: queries(
			all, "BEGIN", "DECLARE c SCROLL CURSOR FOR "+all, "FETCH 2 FROM c", all, "FETCH BACKWARD 1 FROM c", "MOVE 2 IN c", "FETCH ALL FROM c", "CLOSE c", "COMMIT",
			"DECLARE h CURSOR WITH HOLD FOR "+all, "FETCH 1 FROM h", all, "FETCH 9 FROM h", "CLOSE h", all)},
	)
}

// flushed parses a statement and asks for its description with a Flush and no Sync, as some drivers
// do before they bind.
func flushed(name, sql string) step {
	described := "n"
	if sql == readItem {
		described = "T"
	}
	return step{join(msgParse(name, sql), msgDescribe('S', name), msgFlush), described}
}

// runs binds a prepared statement to an id, describes and executes it, without a Sync.
func runs(name, id string) []byte {
	return join(msgBind(name, id), msgDescribe('P', ""), msgExecute("", 0))
}

// Hits and misses in one pipeline keep their order, an error in the middle skips the messages up to
// its Sync, and a Flush brings the answers to the messages before it.
func TestCase32PipelinesKeepTheirOrder(t *testing.T) {
	fails := join(msgParse("", "SELECT 1/0 FROM item"), msgBind(""), msgExecute("", 0))
	miss := func(n string) []byte {
		return join(msgParse("", "SELECT "+n+" WHERE random() >= 0"), msgBind(""), msgExecute("", 0))
	}
	compareCase(t,
		differential{name: "hits and misses", hits: 3, steps: []step{
			synced(read("1")), synced(read("2")),
			{join(read("1"), msgSync, read("2"), msgSync, miss("7"), msgSync, read("1"), msgSync, msgQuery("SELECT 8"), read("2"), msgSync, miss("9"), msgSync), "ZZZZZZZ"},
			{join(read("1"), miss("7"), read("2"), msgSync, read("1"), msgSync), "ZZ"},
		}},
		differential{name: "errors in the middle", hits: 2, steps: []step{
			synced(read("1")), synced(read("2")),
			{join(read("1"), msgSync, fails, read("1"), read("2"), msgSync, read("2"), msgSync), "ZZZ"},
			{join(read("1"), fails, read("2"), msgFlush, read("1"), msgSync, read("2"), msgSync), "ZZ"},
			{join(read("x"), read("1"), msgSync, msgBind("nobody"), read("1"), msgSync, read("1"), msgSync), "ZZZ"},
			synced(read("1")),
		}},
		differential{name: "flush without sync", hits: 1, steps: []step{
			synced(read("1")), {join(read("1"), msgFlush), "C"}, {join(read("2"), msgFlush), "C"}, {join(miss("7"), msgFlush), "C"}, synced(read("1")),
			{join(fails, msgFlush), "E"}, synced(read("1")), {msgFlush, ""}, synced(read("1")),
			{join(msgParse("s", readItem), msgDescribe('S', "s"), msgFlush), "T"}, {join(msgBind("s", "1"), msgFlush), "2"}, {join(msgExecute("", 0), msgFlush), "C"}, synced(),
		}},
		differential{name: "flush before bind", hits: 9, reset: "UPDATE item SET name = 'item 1' WHERE id = 1", steps: []step{
			synced(read("1")), synced(read("2")), flushed("", readItem), synced(runs("", "1")), flushed("", readItem), synced(runs("", "2")),
			flushed("s", readItem), synced(runs("s", "1")), synced(runs("s", "2")), flushed("r", readItem), synced(runs("s", "1"), msgClose('S', "s")),
			flushed("", readItem), synced(), flushed("", readItem), synced(read("1")), flushed("", readItem), query("SELECT 1"), synced(runs("r", "2")),
			flushed("", readItem), synced(runs("", "1"), runs("", "2")), flushed("", readItem), synced(runs("", "x")), synced(runs("", "1")),
			{join(msgParse("", "SELECT nothing"), msgFlush), "E"}, synced(runs("r", "1")), synced(runs("r", "1")),
			flushed("u", "UPDATE item SET name = $2 WHERE id = $1"), synced(msgBind("u", "1", "new"), msgExecute("", 0)), flushed("", readItem), synced(runs("r", "1")),
			flushed("", "BEGIN"), synced(msgBind(""), msgExecute("", 0)), flushed("", readItem), synced(runs("", "1")), query("ROLLBACK"),
		}},
		differential{name: "describe and close", hits: 2, steps: []step{
			synced(msgParse("s", readItem), msgDescribe('S', "s")), synced(msgDescribe('S', "s")), synced(msgBind("s", "1"), msgDescribe('P', ""), msgExecute("", 0)),
			synced(msgBind("s", "1"), msgDescribe('P', ""), msgExecute("", 0), msgClose('P', "")), synced(msgClose('S', "s"), msgClose('S', "s")), synced(msgDescribe('S', "s")), synced(msgDescribe('X', "s")),
		}},
	)
}

func TestCase33FormatsAndParameterTypesAreInTheKey(t *testing.T) {
	int4 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	int8 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	bound := func(sql string, b binding, types ...uint32) step {
		return synced(msgParse("", sql, types...), b.message(), msgDescribe('P', ""), msgExecute("", 0))
	}
	byN, byID := "SELECT * FROM kinds WHERE n = $1", "SELECT * FROM kinds WHERE id = $1"
	compareCase(t, differential{name: "formats", hits: 8, steps: []step{
		bound(byID, binding{values: [][]byte{[]byte("1")}}),
		bound(byID, binding{values: [][]byte{[]byte("1")}, results: []uint16{1}}),
		bound(byID, binding{values: [][]byte{[]byte("1")}, results: []uint16{0, 1, 0, 1, 0, 1, 0}}),
		bound(byID, binding{formats: []uint16{1}, values: [][]byte{int4(1)}}),
		bound(byID, binding{formats: []uint16{1}, values: [][]byte{int8(1)}, results: []uint16{1}}, oidInt8),
		bound(byN, binding{values: [][]byte{[]byte("7")}}), bound(byN, binding{values: [][]byte{[]byte("7")}}, oidInt4), bound(byN, binding{values: [][]byte{[]byte("7")}}, oidInt8),
		bound(byN, binding{values: [][]byte{[]byte(" 7 ")}}), bound(byN, binding{values: [][]byte{nil}}),
		bound("SELECT * FROM kinds WHERE t = $1", binding{values: [][]byte{[]byte("7")}}), bound("SELECT $1 || t FROM kinds WHERE id = 1", binding{values: [][]byte{[]byte("7")}}, oidText),
		bound("SELECT $1 FROM kinds WHERE id = 1", binding{values: [][]byte{[]byte("7")}}), bound("SELECT $1 FROM kinds WHERE id = 1", binding{values: [][]byte{[]byte("7")}}, oidInt4),
		bound(byID, binding{formats: []uint16{1}, values: [][]byte{int8(1)}}), bound(byID, binding{formats: []uint16{1}, values: [][]byte{[]byte("1")}}),
	}})
}

func TestCase34NoticesAreNotSwallowed(t *testing.T) {
	prepared := "SELECT to_tsquery('english', 'the') FROM item WHERE id = 3"
	s := compareCase(t, differential{name: "notices", steps: append(queries(
		"SELECT noisy()", "SELECT noisy() FROM item WHERE id = 3", "SELECT noisy() FROM item WHERE id = 3", prepared, prepared,
		"SET client_min_messages = error", "SELECT noisy()", prepared, "RESET client_min_messages", prepared,
		"SET standard_conforming_strings = off", `SELECT 'a\\b' FROM item WHERE id = 3`, `SELECT 'a\\b' FROM item WHERE id = 3`),
		synced(msgParse("s", prepared), msgDescribe('S', "s")), synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("s"), msgExecute("", 0)),
		synced(msgParse("", `SELECT 'c\\d' FROM item WHERE id = 3`), msgDescribe('S', "")), synced(msgBind(""), msgExecute("", 0)),
		synced(msgParse("", `SELECT 'c\\d' FROM item WHERE id = 3`), msgBind(""), msgExecute("", 0)))})
	s.wantBypasses(reasons.Noticed)
}

// A notification that Postgres sends between the rows of an answer is forwarded to the client, and
// is no part of the answer that is kept.
func TestCase35NotificationWithinAnAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	c := &answer.Capture{SizeMax: 1 << 20}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Harmless: true, Capture: c})
	description, row := protocol.AppendMessage(nil, 'T', []byte{0, 0}), protocol.AppendMessage(nil, 'D', []byte{0, 0})
	done, notification := protocol.AppendMessage(nil, 'C', []byte("SELECT 1\x00")), protocol.AppendMessage(nil, 'A', []byte("\x00\x00\x00\x01news\x00x\x00"))
	answer := join(description, notification, row, notification, done)
	if shown := s.receive(t, answer); !bytes.Equal(shown, answer) {
		t.Errorf("the client sees %s\nwant %s", show(shown), show(answer))
	}
	if want := join(row, done); !c.Whole() || !bytes.Equal(c.Answer().Body, want) || !bytes.Equal(c.Answer().Description, description) {
		t.Errorf("kept is\n%s%s\nwant\n%s%s", show(c.Answer().Description), show(c.Answer().Body), show(description), show(want))
	}
}

// A session that listens and sends nothing gets other sessions' notifications at once, and a read
// behind a notification shows what was committed before it.
func TestNotificationsReachIdleSessions(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c := dialRaw(t, s.dsn())
	s.learnExtended(c)
	c.ask(msgQuery("LISTEN news"))
	for _, version := range []string{"1", "2", "3"} {
		s.wantVersionFromCache(c, string(version[0]-1))
		bed.exec("UPDATE item SET version = " + version + " WHERE id = 7")
		bed.exec("NOTIFY news, 'version " + version + "'")
		want := protocol.AppendMessage(nil, 'A', uint32s(bed.direct.PgConn().PID()), []byte("news\x00version "+version+"\x00"))
		if got := c.until("A"); !bytes.Equal(got, want) {
			t.Errorf("the session gets\n%s\nwant the notification\n%s", show(got), show(want))
		}
		if answer := string(c.ask(read("7"), msgSync)); !strings.Contains(answer, "\x00\x00\x00\x01"+version+"C") {
			t.Errorf("behind the notification of version %s the session reads\n%s", version, show([]byte(answer)))
		}
	}
}

func TestCase36LargeResultsAreNotKept(t *testing.T) {
	t.Parallel()
	const entryMax = 64 << 10
	bed := newRolesTestbed(t, casesSchema)
	s := bed.sidecar(func(c *engine.Options, _ *invalidation.FollowerOptions) { c.EntryMax = entryMax })
	c := dialRaw(t, s.dsn())
	large, small := msgQuery("SELECT body FROM big WHERE id = 1"), msgQuery("SELECT length(body) FROM big WHERE id = 1")
	first := c.ask(large)
	for range 5 {
		if again := c.ask(large); !bytes.Equal(first, again) || len(again) < 2000000 {
			t.Fatalf("asked again, the answer has %d bytes, want the same %d as at first, and more than 2000000", len(again), len(first))
		}
	}
	if hits := s.count(HitL1) + s.count(HitL2) + s.count(Coalesced); hits > 0 {
		t.Errorf("%d hits of an answer of %d bytes, where %d may be kept", hits, len(first), entryMax)
	}
	servers.Eventually(t, "hits of a small answer", func() bool {
		before := s.count(HitL1)
		c.ask(small)
		return s.count(HitL1) > before
	})
}

func TestCase37EmptyResultsAreKeptAndErrorsAreNot(t *testing.T) {
	none := "SELECT name FROM item WHERE id = -1"
	s := compareCase(t, differential{name: "errors and nothing", hits: 4, steps: append(queries(
		none, none, "SELECT 1/0 FROM item", "SELECT 1/0 FROM item", "SELECT nothing FROM item", "SELECT name FROM item WHERE id = 1/(version - version)", none),
		synced(read("-1")), synced(read("x")), synced(read("x")), synced(read("99999999999")), synced(read("-1")),
		synced(msgParse("", "SELECT 10 / (id - $1) FROM item WHERE id = 3"), msgBind("", "3"), msgExecute("", 0)),
		synced(msgParse("", "SELECT 10 / (id - $1) FROM item WHERE id = 3"), msgBind("", "3"), msgExecute("", 0)),
		synced(msgParse("", "SELECT 10 / (id - $1) FROM item WHERE id = 3"), msgBind("", "1"), msgExecute("", 0)))})
	if s.count(Failed) == 0 {
		t.Error("no statement is counted as failed, want some")
	}
}
