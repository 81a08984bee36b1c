package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A differential test runs one script of frontend messages directly and, until it is warm,
// through a sidecar, each on a new connection, and compares every byte that comes back.

const differentialSchema = itemSchema + `
CREATE TABLE big (id int PRIMARY KEY, body text NOT NULL);
INSERT INTO big SELECT i, repeat(chr(96 + i), 2000000) FROM generate_series(1, 3) i;
CREATE TABLE kinds (id int PRIMARY KEY, n bigint, t text, b bytea, f float8, ts timestamptz, u uuid);
INSERT INTO kinds VALUES (1, 7, 'seven', '\x07ff', 7.25, '2024-03-01 12:00:00+00', '00000000-0000-0000-0000-000000000007'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE scratch (id int PRIMARY KEY, t text);
CREATE TABLE later (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
CREATE PROCEDURE forgets() LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE t'; END $$;
CREATE FUNCTION noisy() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'ahem'; RETURN 1; END $$;`

// step sends messages and then reads the answer up to a message of each kind in until, in that
// order.
type step struct {
	send  []byte
	until string
}

// differential is one script, and how often it has to hit.
type differential struct {
	name  string
	steps []step
	// reset is run directly before each run.
	reset string
	// hits is the least number of executions that the last run answers from memory: without
	// hits, only Postgres' answers would be compared with Postgres'. Where it is 0, the
	// sidecar counts as warm in the run of number warmRuns.
	hits uint64
}

// coldRuns is how often a script runs through the sidecar at least if its hits show that the last
// run was warm, warmRuns if it has none to show.
const coldRuns, warmRuns = 2, 3

const (
	readItem = "SELECT id, name, version FROM item WHERE id = $1"
	oidInt4  = 23
	oidInt8  = 20
	oidText  = 25
)

func query(sql string) step { return step{msgQuery(sql), "Z"} }

// synced sends messages and a Sync, and reads up to the ReadyForQuery.
func synced(messages ...[]byte) step { return step{append(join(messages...), msgSync...), "Z"} }

// read is an unnamed extended read of one item, without its Sync.
func read(id string) []byte {
	return join(msgParse("", readItem), msgBind("", id), msgDescribe('P', ""), msgExecute("", 0))
}

// allItems is an unnamed extended read of all items, at most limit at once,
// without its Sync.
func allItems(limit uint32) []byte {
	return join(msgParse("", "SELECT id FROM item ORDER BY id"), msgBind(""), msgExecute("", limit))
}

// named binds the statement s to a portal of this name with an item's id, and executes the portal
// with a limit of rows.
func named(portal, id string, limit uint32) []byte {
	return join(binding{portal: portal, statement: "s", values: [][]byte{[]byte(id)}}.message(), msgExecute(portal, limit))
}

// all is named for a statement s without parameters.
func all(portal string, limit uint32) []byte {
	return join(binding{portal: portal, statement: "s"}.message(), msgExecute(portal, limit))
}

// control binds a control statement to a portal and executes the portal, each with a Flush behind
// it.
func control(portal, statement string) []byte {
	return join(withFlush(binding{portal: portal, statement: statement}.message()), withFlush(msgExecute(portal, 100)))
}

var differentials = []differential{
	{name: "simple query", hits: 2, steps: []step{
		query("SELECT * FROM item WHERE id = 3"), query("SELECT id FROM item WHERE id = -1"),
	}},
	{name: "simple query twice in one write", hits: 2, steps: []step{
		{join(msgQuery("SELECT 1 FROM item WHERE id = 3"), msgQuery("SELECT name FROM item WHERE id = 3")), "ZZ"},
	}},
	{name: "empty and blank", steps: []step{
		query(""), query(";"), query("  -- nothing"), synced(msgParse("", ""), msgBind(""), msgDescribe('P', ""), msgExecute("", 0)),
	}},
	{name: "several statements in one query", hits: 1, steps: []step{
		query("SELECT id FROM item WHERE id = 1; SELECT name FROM item WHERE id = 2"),
		query("SELECT id FROM item WHERE id = 1; SELECT 1/0; SELECT 3"),
		query("SELECT id FROM item WHERE id = 1"),
	}},
	{name: "errors of simple queries", hits: 1, steps: []step{
		query("SELECT nothing FROM item"), query("SELEC"), query("SELECT 1/0 FROM item"), query("SELECT name FROM item WHERE id = 1"),
	}},
	{name: "unnamed statement", hits: 3, steps: []step{
		synced(read("3")), synced(read("4")),
		synced(msgParse("", readItem), msgBind("", "5"), msgExecute("", 0)),
	}},
	{name: "unnamed statement in two round trips", hits: 1, steps: []step{
		synced(msgParse("", readItem), msgDescribe('S', "")), synced(msgBind("", "3"), msgExecute("", 0)),
	}},
	{name: "unnamed statement bound again", hits: 3, steps: []step{
		synced(read("3")), synced(msgBind("", "4"), msgExecute("", 0)), synced(msgBind("", "5"), msgExecute("", 0)),
	}},
	{name: "named statement", hits: 3, steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")),
		synced(msgBind("s", "3"), msgExecute("", 0)), synced(msgBind("s", "4"), msgDescribe('P', ""), msgExecute("", 0)),
		synced(msgBind("s", "5"), msgExecute("", 0)),
		synced(msgClose('S', "s")), synced(msgBind("s", "5"), msgExecute("", 0)),
	}},
	{name: "named statement parsed twice", hits: 1, steps: []step{
		synced(msgParse("s", readItem, oidInt4)), synced(msgParse("s", "SELECT 1", oidInt4)),
		synced(msgBind("s", "5"), msgExecute("", 0)),
	}},
	{name: "statements and portals that do not exist", steps: []step{
		synced(msgBind("s", "5"), msgExecute("", 0)), synced(msgDescribe('S', "s")), synced(msgDescribe('P', "p")),
		synced(msgExecute("p", 0)), synced(msgClose('S', "s")), synced(msgBind("", "5"), msgExecute("", 0)),
		synced(msgDescribe('S', "")), synced(msgDescribe('P', "")), synced(msgExecute("", 0)),
	}},
	{name: "describe of a known statement", hits: 1, steps: []step{
		synced(msgParse("", readItem), msgDescribe('S', ""), msgBind("", "3"), msgDescribe('P', ""), msgExecute("", 0)),
		synced(msgDescribe('S', "")), synced(msgDescribe('S', ""), msgDescribe('S', "")),
	}},
	{name: "error and skip to Sync", hits: 2, steps: []step{
		synced(read("3")),
		synced(msgParse("", "SELECT nothing FROM item"), msgBind("", "3"), msgExecute("", 0), read("4")),
		synced(msgBind("", "3"), msgExecute("", 0)), synced(read("4")),
	}},
	{name: "bind fails", hits: 1, steps: []step{
		synced(msgParse("", readItem), msgBind("", "three"), msgExecute("", 0)),
		synced(msgParse("", readItem), msgBind(""), msgExecute("", 0)), synced(msgParse("", readItem), msgBind("", "1", "2"), msgExecute("", 0)),
		synced(read("3")),
	}},
	{name: "parse error then bind of the unnamed statement", hits: 1, steps: []step{
		synced(read("3")), synced(msgParse("", "SELECT nothing FROM item")), synced(msgBind("", "3"), msgExecute("", 0)),
	}},
	{name: "unnamed statement replaced after a parse answered locally", hits: 1, steps: []step{
		synced(read("3")), synced(msgParse("", "SELECT clock_timestamp() < now()")),
		synced(msgBind(""), msgExecute("", 0)), synced(msgDescribe('S', "")),
	}},
	{name: "described after a parse answered locally", hits: 2, steps: []step{
		synced(read("3")), synced(msgBind("", "3"), msgExecute("", 1), msgExecute("", 1)), synced(msgDescribe('S', "")),
		synced(read("4")), {join(msgDescribe('S', ""), msgFlush), "T"}, synced(),
	}},
	{name: "simple query between parse and bind", hits: 3, steps: []step{
		synced(read("3")), query("SELECT name FROM item WHERE id = 3"), synced(msgBind("", "4"), msgExecute("", 0)),
		synced(read("4")), query("SELECT 1/1 WHERE random() < 2"), synced(msgBind("", "4"), msgExecute("", 0)),
		synced(msgDescribe('S', "")),
	}},
	{name: "close of the unnamed statement", hits: 1, steps: []step{
		synced(read("3")), synced(msgClose('S', "")), synced(msgBind("", "4"), msgExecute("", 0)),
	}},
	{name: "close of portals", hits: 2, steps: []step{
		synced(read("3"), msgClose('P', "")), synced(msgClose('P', ""), read("4")), synced(msgClose('P', "nobody")),
		synced(msgParse("", readItem), msgBind("", "3"), msgClose('P', ""), msgExecute("", 0)),
	}},
	{name: "a portal is closed unexecuted, and another is executed", hits: 2, steps: []step{
		synced(read("3")), synced(read("4")),
		synced(msgParse("", readItem), msgBind("", "3"), msgClose('P', ""), msgBind("", "4"), msgExecute("", 0)),
		synced(msgParse("", readItem), msgBind("", "3"), msgExecute("", 0)),
	}},
	{name: "pipeline of hits", hits: 10, steps: []step{
		synced(read("1")), synced(read("2")), synced(read("3")), synced(read("4")), synced(read("5")),
		{join(read("1"), msgSync, read("2"), msgSync, read("3"), msgSync, read("4"), msgSync, read("5"), msgSync), "ZZZZZ"},
	}},
	{name: "pipeline of hits, misses and errors", hits: 1, steps: []step{
		{join(read("1"), msgSync, msgQuery("SELECT random() < 2"), read("2"), msgSync, read("x"), msgSync, msgQuery("SELECT name FROM item WHERE id = 1"),
			msgParse("", "SELECT pg_backend_pid() > 0"), msgBind(""), msgExecute("", 0), msgSync, read("5"), msgSync), "ZZZZZZZ"},
	}},
	{name: "several executes in one group", hits: 5, steps: []step{
		synced(read("1"), read("2"), read("3")),
		synced(msgParse("", readItem), msgBind("", "4"), msgExecute("", 0), msgBind("", "5"), msgExecute("", 0)),
	}},
	{name: "one of several executes fails", steps: []step{synced(read("1"), read("x"), read("3")), synced(read("1"), msgExecute("", 0))}},
	{name: "row limit and portal suspended", hits: 1, steps: []step{
		synced(read("3")),
		synced(msgParse("", "SELECT id FROM item ORDER BY id"), msgBind(""), msgExecute("", 2), msgExecute("", 3), msgExecute("", 0), msgExecute("", 0)),
		synced(msgParse("", readItem), msgBind("", "3"), msgExecute("", 1), msgExecute("", 1)),
	}},
	{name: "row limit", hits: 15, steps: []step{
		synced(allItems(2)), synced(allItems(3)), synced(allItems(0)), synced(allItems(2), msgClose('P', "")),
		synced(allItems(1 << 20)), synced(allItems(1<<32 - 1)),
		synced(msgParse("", readItem), msgBind("", "3"), msgExecute("", 1)), synced(msgBind("", "3"), msgExecute("", 2)),
		synced(msgBind("", "-3"), msgExecute("", 1)), synced(msgBind("", "3"), msgExecute("", 0)),
		synced(msgBind("", "3"), msgDescribe('P', ""), msgExecute("", 1)), synced(msgExecute("", 1)),
		synced(msgParse("s", readItem, oidInt4)), synced(msgBind("s", "4"), msgExecute("", 1)), synced(msgBind("s", "4"), msgDescribe('P', ""), msgExecute("", 1)),
		synced(allItems(2), allItems(1), allItems(4)),
	}},
	{name: "row limit in a pipeline", hits: 2, steps: []step{
		{join(allItems(2), msgSync, allItems(3), msgSync, allItems(2), msgExecute("", 1), msgSync, msgExecute("", 1), msgSync), "ZZZZ"},
		synced(allItems(2)), synced(allItems(3)),
	}},
	{name: "row limit in a transaction", hits: 1, steps: []step{
		synced(allItems(2)), query("BEGIN"), synced(allItems(2)), synced(msgExecute("", 2)), synced(msgExecute("", 0)), query("COMMIT"),
		synced(msgExecute("", 2)), synced(allItems(2)),
	}},
	{name: "the unnamed portal used again in a transaction", hits: 9, steps: []step{
		synced(read("3")), query("BEGIN"), synced(read("3")), synced(msgExecute("", 0)), synced(msgDescribe('P', "")), query("COMMIT"),
		query("BEGIN"), synced(read("3")), synced(msgDescribe('P', "")), synced(msgExecute("", 1)), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), synced(read("4")), synced(msgExecute("", 0), read("3")), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), synced(msgClose('P', "")), synced(msgExecute("", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(read("3"), msgClose('P', "")), synced(msgDescribe('P', "")), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), query("SELECT name FROM item WHERE id = 3"), synced(msgExecute("", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), synced(msgParse("", "SELECT 1")), synced(msgExecute("", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), synced(msgParse("", "SELECT nothing"), msgExecute("", 0)), synced(msgExecute("", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), {join(msgExecute("", 0), msgFlush), "C"}, synced(), query("ROLLBACK"),
		query("BEGIN"), synced(read("3")), query("ROLLBACK"), synced(msgExecute("", 0)),
	}},
	{name: "error before the row limit and behind it", hits: 2, steps: []step{
		synced(msgParse("", "SELECT 6 / (4 - id) FROM item ORDER BY id"), msgBind(""), msgExecute("", 3)),
		synced(msgBind(""), msgExecute("", 4)), synced(msgBind(""), msgExecute("", 0)),
		synced(msgParse("", "SELECT 6 / (4 - id) FROM item ORDER BY id"), msgBind(""), msgExecute("", 2)),
	}},
	{name: "named portals", steps: []step{
		synced(msgParse("", "SELECT id FROM item ORDER BY id"), binding{portal: "p"}.message(), msgDescribe('P', "p"),
			msgExecute("p", 2), msgExecute("p", 1), msgClose('P', "p"), msgExecute("p", 1)),
		query("BEGIN"), synced(msgParse("", readItem), binding{portal: "p", values: [][]byte{[]byte("3")}}.message()),
		synced(msgExecute("p", 0)), synced(msgExecute("p", 0)), query("COMMIT"), synced(msgExecute("p", 0)),
	}},
	{name: "named portals outside of transactions", hits: 8, steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")), synced(named("p", "3", 0)), synced(named("p", "4", 1)), synced(named("p", "4", 100)),
		synced(msgClose('P', "p")), synced(named("p", "4", 100), msgClose('P', "p"), named("p", "5", 100)), synced(named("p", "5", 0), named("q", "6", 0)),
		synced(named("p", "3", 0), named("p", "4", 0)), synced(msgExecute("p", 0)), synced(msgDescribe('P', "p")), synced(named("p", "3", 0)),
		synced(binding{portal: "p", statement: "s", values: [][]byte{[]byte("3")}}.message(), msgClose('P', "p"), named("p", "4", 0)), synced(named("p", "3", 0)),
		{join(withFlush(binding{portal: "p", statement: "s", values: [][]byte{[]byte("3")}}.message())), "2"}, synced(named("p", "3", 0)),
		{join(withFlush(binding{portal: "p", statement: "s", values: [][]byte{[]byte("3")}}.message())), "2"}, synced(msgClose('P', "p"), named("p", "3", 0)),
	}},
	{name: "a portal with the name of a cursor", hits: 1, steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")), synced(named("c", "3", 0)),
		query("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id"), synced(named("c", "3", 0)), synced(named("d", "3", 0)), synced(msgClose('P', "d")),
		query("FETCH c"), synced(msgClose('P', "c")), query("FETCH c"), synced(named("c", "3", 0)),
	}},
	{name: "named portals in a transaction", hits: 7, steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")), synced(named("p", "3", 0)), synced(named("p", "3", 100)), synced(named("p", "4", 100)),
		query("BEGIN"), synced(named("p", "3", 100)), synced(msgClose('P', "p")), synced(named("p", "4", 100)), query("COMMIT"),
		query("BEGIN"), synced(named("p", "3", 100), msgClose('P', "p")), synced(named("p", "4", 0)), synced(msgClose('P', "p"), named("q", "3", 0)), query("ROLLBACK"),
		synced(msgExecute("q", 0)),
	}},
	{name: "named portals left in a transaction", hits: 12, reset: "TRUNCATE scratch", steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")), synced(named("p", "3", 0)), synced(named("p", "3", 100)), synced(named("p", "4", 100)),
		query("BEGIN"), synced(named("p", "3", 100)), synced(named("q", "4", 100)), synced(msgExecute("p", 0)), synced(msgDescribe('P', "q")), query("COMMIT"),
		query("BEGIN"), synced(named("p", "3", 100)), synced(msgDescribe('P', "p")), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), synced(named("p", "3", 100)), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), query(`FETCH p`), query("CLOSE p"), query("CLOSE p"), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), query("ALTER TABLE item ALTER name SET NOT NULL"), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), synced(msgClose('P', "p"), msgParse("", "ALTER TABLE item ALTER name SET NOT NULL"), msgBind(""), msgExecute("", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), query("SAVEPOINT a"), synced(named("q", "4", 100)), query("ROLLBACK TO a"), synced(msgExecute("q", 0)), query("ROLLBACK TO a"),
		synced(msgExecute("p", 0)), query("COMMIT"),
		query("BEGIN"), query("SAVEPOINT a"), synced(named("q", "4", 100)), query("SELECT 1/0"), query("ROLLBACK TO a"), synced(msgExecute("q", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), synced(named("e", "x", 100)), synced(msgExecute("p", 0)), query("ROLLBACK"),
		query("BEGIN"), synced(named("p", "3", 100)), query("INSERT INTO scratch VALUES (1, 'a')"), synced(msgExecute("p", 0)), query("SELECT name FROM pg_cursors WHERE name = 'p'"), query("COMMIT"),
	}},
	{name: "a limit that is reached in a transaction", hits: 3, steps: []step{
		synced(allItems(2)), synced(msgParse("s", "SELECT id FROM item ORDER BY id"), msgDescribe('S', "s")), synced(all("p", 2)), synced(all("p", 1<<20)),
		query("BEGIN"), synced(all("p", 2)), synced(msgExecute("p", 2)), synced(msgExecute("p", 0)), synced(msgExecute("p", 0)), query("COMMIT"),
		query("BEGIN"), synced(all("p", 1<<20)), synced(msgExecute("p", 2)), query("COMMIT"),
		query("BEGIN"), synced(all("", 1<<20)), query("COMMIT"), query("BEGIN"), synced(all("", 1)), synced(msgExecute("", 2)), query("COMMIT"),
	}},
	{name: "control statements by named portals", hits: 5, reset: "TRUNCATE scratch", steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")), synced(msgParse("b", "BEGIN")), synced(msgParse("c", "COMMIT")), synced(msgParse("v", "SAVEPOINT v")),
		synced(named("p", "3", 100)), synced(named("p", "3", 0)), synced(control("p0", "b")), synced(msgClose('P', "p0")), synced(named("p", "3", 100)), synced(control("p1", "c")), synced(msgClose('P', "p1")),
		synced(control("p0", "b")), synced(control("p0", "b")), synced(control("p1", "c")), synced(control("p0", "b")), synced(control("p0", "c")), query("ROLLBACK"),
		synced(control("p0", "b")), synced(named("p", "3", 100)), synced(msgExecute("p0", 0)), synced(control("p1", "c")),
		synced(control("p0", "b")), synced(msgDescribe('P', "p0")), synced(control("p1", "v")), synced(named("p", "3", 100)), query("COMMIT"),
		synced(control("p0", "b")), query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT name, statement FROM pg_cursors WHERE name <> ''"), query("COMMIT"), query("SELECT * FROM scratch"),
		synced(control("p0", "b"), named("p", "3", 0)), synced(msgClose('P', "p0"), msgClose('P', "p")), query("COMMIT"),
	}},
	{name: "flush without sync", hits: 1, steps: []step{
		{join(msgParse("", readItem), msgDescribe('S', ""), msgFlush), "T"},
		{join(msgBind("", "3"), msgExecute("", 0), msgFlush), "C"}, synced(),
		{join(msgParse("", "SELECT nothing"), msgFlush), "E"}, {join(msgBind("", "3"), msgExecute("", 0), msgFlush), ""}, synced(),
		synced(read("3")),
	}},
	{name: "sync alone", steps: []step{synced(), synced(), {join(msgSync, msgSync, msgSync), "ZZZ"}}},
	{name: "binary and text formats", hits: 7, steps: []step{
		query("SELECT * FROM kinds WHERE id = 1"),
		synced(msgParse("", "SELECT * FROM kinds WHERE id = $1", oidInt4), binding{
			formats: []uint16{1}, values: [][]byte{binary.BigEndian.AppendUint32(nil, 1)}, results: []uint16{1},
		}.message(), msgDescribe('P', ""), msgExecute("", 0)),
		synced(binding{values: [][]byte{[]byte("1")}, results: []uint16{0}}.message(), msgDescribe('P', ""), msgExecute("", 0)),
		synced(binding{values: [][]byte{[]byte("1")}, results: []uint16{0, 1, 0, 1, 0, 1, 0}}.message(), msgDescribe('P', ""), msgExecute("", 0)),
		synced(binding{values: [][]byte{[]byte("2")}, results: []uint16{1}}.message(), msgExecute("", 0)),
		synced(binding{values: [][]byte{nil}}.message(), msgExecute("", 0)),
		synced(msgParse("", "SELECT n FROM kinds WHERE n = $1", oidInt8), binding{
			formats: []uint16{1}, values: [][]byte{binary.BigEndian.AppendUint64(nil, 7)}, results: []uint16{1},
		}.message(), msgDescribe('P', ""), msgExecute("", 0)),
		synced(msgParse("", "SELECT n FROM kinds WHERE n = $1", oidInt8), binding{
			formats: []uint16{1}, values: [][]byte{binary.BigEndian.AppendUint32(nil, 7)}, results: []uint16{1},
		}.message(), msgExecute("", 0)),
	}},
	{name: "unsupported formats", steps: []step{
		synced(msgParse("", readItem), binding{formats: []uint16{2}, values: [][]byte{[]byte("1")}}.message(), msgExecute("", 0)),
		synced(msgParse("", readItem), binding{values: [][]byte{[]byte("1")}, results: []uint16{7}}.message(), msgExecute("", 0)),
		synced(msgParse("", readItem), binding{values: [][]byte{[]byte("1")}, results: []uint16{0, 0}}.message(), msgExecute("", 0)),
		synced(msgParse("", readItem), binding{formats: []uint16{0, 0}, values: [][]byte{[]byte("1")}}.message(), msgExecute("", 0)),
	}},
	{name: "null parameters", hits: 2, steps: []step{
		synced(msgParse("", "SELECT id, $2::text FROM item WHERE id = $1"), binding{values: [][]byte{[]byte("1"), nil}}.message(), msgExecute("", 0)),
		synced(msgParse("", "SELECT id, $2::text FROM item WHERE id = $1"), binding{values: [][]byte{[]byte("1"), {}}}.message(), msgExecute("", 0)),
	}},
	{name: "notices", steps: []step{
		query("SELECT noisy()"), query("SELECT noisy()"), query("DROP TABLE IF EXISTS nowhere"),
		synced(msgParse("", "SELECT noisy()"), msgBind(""), msgExecute("", 0)), query(`SELECT 'a\\b' FROM item WHERE id = 1`),
	}},
	{name: "notices when a plan is made", hits: 1, steps: []step{
		synced(msgParse("s", "SELECT to_tsquery('english', 'the') FROM item WHERE id = 3"), msgDescribe('S', "s")),
		synced(msgBind("s"), msgExecute("", 0)), synced(msgBind("s"), msgExecute("", 0)),
		query("SET standard_conforming_strings = off"),
		synced(msgParse("", `SELECT 'a\\b' FROM item WHERE id = 3`), msgDescribe('S', "")),
		synced(msgBind(""), msgExecute("", 0)), synced(msgBind(""), msgExecute("", 0)),
		synced(msgParse("", `SELECT 'a\\b' FROM item WHERE id = 3`), msgBind(""), msgExecute("", 0)),
		query("SELECT name FROM item WHERE id = 3"),
	}},
	{name: "settings", hits: 2, steps: []step{
		query("SELECT ts FROM kinds WHERE id = 1"), query("SET TimeZone = 'Asia/Tokyo'"), query("SELECT ts FROM kinds WHERE id = 1"),
		query("SET bytea_output = 'escape'; SET extra_float_digits = -10"), query("SELECT b, f FROM kinds WHERE id = 1"),
		synced(msgParse("", "SET DateStyle = 'German'"), msgBind(""), msgExecute("", 0)), query("SELECT ts FROM kinds WHERE id = 1"),
		query("SET application_name = 'me'"), query("RESET ALL"), query("SELECT b, f, ts FROM kinds WHERE id = 1"),
	}},
	{name: "setting changed before a flush", steps: []step{
		query("SELECT ts FROM kinds WHERE id = 1"),
		{join(msgParse("", "SET TimeZone = 'Asia/Tokyo'"), msgBind(""), msgExecute("", 0), msgFlush), "C"}, synced(),
		query("SELECT ts FROM kinds WHERE id = 1"),
	}},
	{name: "setting changed in a transaction", steps: []step{
		query("SELECT ts FROM kinds WHERE id = 1"),
		query("BEGIN"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"),
		query("SELECT ts FROM kinds WHERE id = 1"), query("SELECT set_config('TimeZone', 'Asia/Tokyo', false)"),
		query("SELECT ts FROM kinds WHERE id = 1"),
	}},
	{name: "transactions", reset: "TRUNCATE scratch", steps: []step{
		query("BEGIN"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT * FROM scratch"), query("ROLLBACK"),
		query("SELECT * FROM scratch"), query("BEGIN"), query("SELECT nothing"), query("SELECT * FROM scratch WHERE id = 1"),
		synced(read("3")), query("COMMIT"), query("SELECT * FROM scratch"),
		query("BEGIN; INSERT INTO scratch VALUES (2, 'b'); COMMIT"), query("SELECT * FROM scratch"),
		query("BEGIN"), query("SAVEPOINT s"), query("INSERT INTO scratch VALUES (3, 'c')"), query("ROLLBACK TO s"),
		query("SELECT * FROM scratch"), query("COMMIT"), query("SELECT * FROM scratch"),
		query("COMMIT"), query("BEGIN"), query("BEGIN"), query("ROLLBACK"),
	}},
	{name: "constraint checked at Sync", reset: "TRUNCATE later", hits: 1, steps: []step{
		synced(msgParse("", "INSERT INTO later VALUES (1), (1)"), msgBind(""), msgExecute("", 0)), synced(read("3")),
	}},
	{name: "own writes", reset: "TRUNCATE scratch", steps: []step{
		query("SELECT * FROM scratch"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT * FROM scratch"),
		synced(msgParse("", "UPDATE scratch SET t = $1"), msgBind("", "b"), msgExecute("", 0)), query("SELECT * FROM scratch"),
		synced(msgParse("", "DELETE FROM scratch"), msgBind(""), msgExecute("", 0),
			msgParse("", "SELECT * FROM scratch"), msgBind(""), msgExecute("", 0)),
		query("SELECT * FROM scratch"),
		query("WITH w AS (INSERT INTO scratch VALUES (9, 'z') RETURNING *) SELECT * FROM w"), query("SELECT * FROM scratch"),
	}},
	{name: "copy out", hits: 1, steps: []step{
		query("COPY item TO STDOUT"), query("COPY (SELECT name FROM item WHERE id = 3) TO STDOUT (FORMAT csv)"),
		synced(msgParse("", "COPY item TO STDOUT (FORMAT binary)"), msgBind(""), msgExecute("", 0)), synced(read("3")),
	}},
	{name: "copy in by simple query", reset: "TRUNCATE scratch", steps: []step{
		{msgQuery("COPY scratch FROM STDIN"), "G"}, {join(msgCopyData("1\ta\n2\tb\n"), msgCopyData("3\tc\n"), msgCopyDone), "Z"},
		query("SELECT * FROM scratch"),
		{msgQuery("COPY scratch FROM STDIN"), "G"}, {join(msgCopyData("4\td\n"), msgCopyFail("no more")), "Z"},
		{msgQuery("COPY scratch FROM STDIN"), "G"}, {join(msgCopyData("not a number\n"), msgCopyData("5\te\n"), msgCopyDone), "Z"},
		query("SELECT * FROM scratch"),
	}},
	{name: "copy in in one write", reset: "TRUNCATE scratch", steps: []step{
		{join(msgQuery("COPY scratch FROM STDIN"), msgCopyData("1\ta\n"), msgCopyDone, msgQuery("SELECT * FROM scratch")), "ZZ"},
	}},
	{name: "copy in by extended query", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		{join(msgParse("", "COPY scratch FROM STDIN"), msgBind(""), msgExecute("", 0), msgSync), "G"},
		synced(msgCopyData("1\ta\n"), msgCopyDone), query("SELECT * FROM scratch"),
		{join(msgParse("", "COPY scratch FROM STDIN"), msgBind(""), msgExecute("", 0), msgFlush), "G"},
		synced(msgCopyData("2\tb\n"), msgCopyDone), query("SELECT * FROM scratch"),
		{join(msgParse("", "COPY scratch FROM STDIN"), msgBind(""), msgExecute("", 0), msgSync), "G"},
		synced(msgCopyData("3\tc\n"), msgCopyFail("no more")), query("SELECT * FROM scratch"), synced(read("3")),
	}},
	{name: "copy in by extended query in one write", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		{join(msgParse("", "COPY scratch FROM STDIN"), msgBind(""), msgExecute("", 0), msgSync, msgCopyData("1\ta\n"), msgCopyDone, msgSync), "Z"},
		{join(msgParse("", "COPY scratch FROM STDIN"), msgBind(""), msgExecute("", 0), msgCopyData("2\tb\n"), msgCopyDone, msgSync), "Z"},
		query("SELECT * FROM scratch"), synced(read("3")),
	}},
	{name: "stray copy messages", hits: 1, steps: []step{
		{join(msgCopyData("1\n"), msgCopyDone, msgCopyFail("x"), msgQuery("SELECT name FROM item WHERE id = 3")), "Z"},
		query("SELECT name FROM item WHERE id = 3"),
	}},
	{name: "function call", hits: 1, steps: []step{
		{msgCall(1317, "four"), "Z"}, {msgCall(1317), "Z"}, {msgCall(4), "Z"},
		synced(read("3")), {msgCall(1317, "four"), "Z"}, synced(msgBind("", "3"), msgExecute("", 0)),
	}},
	{name: "large rows from the server", hits: 1, steps: []step{
		query("SELECT id, body FROM big ORDER BY id"),
		synced(msgParse("", "SELECT body FROM big WHERE id = $1"), msgBind("", "2"), msgDescribe('P', ""), msgExecute("", 0)),
		query("SELECT name FROM item WHERE id = 3"),
	}},
	{name: "large values to the server", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		synced(msgParse("", "INSERT INTO scratch VALUES ($1, $2)"), msgBind("", "1", strings.Repeat("x", 2<<20)), msgExecute("", 0)),
		query("SELECT id, md5(t) FROM scratch"), query("INSERT INTO scratch VALUES (2, '" + strings.Repeat("y", 2<<20) + "')"),
		query("SELECT id, length(t) FROM scratch ORDER BY id"),
		synced(msgParse("", "SELECT id FROM scratch WHERE t = $1"), msgBind("", strings.Repeat("y", 2<<20)), msgExecute("", 0)),
		synced(msgParse("long", "SELECT id /*"+strings.Repeat("z", 300<<10)+"*/ FROM scratch ORDER BY id"), msgDescribe('S', "long")),
		synced(msgBind("long"), msgExecute("", 0)), synced(msgBind("long"), msgExecute("", 0)),
		{msgQuery("COPY scratch FROM STDIN"), "G"}, {join(msgCopyData("3\t"+strings.Repeat("c", 2<<20)+"\n"), msgCopyDone), "Z"},
		synced(read("3")),
	}},
	{name: "long unnamed statement beside a named one", steps: []step{
		synced(msgParse("s", readItem, oidInt4)),
		synced(msgParse("", "SELECT id /*"+strings.Repeat("z", 300<<10)+"*/ FROM item WHERE id = $1")),
		synced(msgBind("s", "3"), msgExecute("", 0)), synced(msgBind("", "3"), msgExecute("", 0)),
	}},
	{name: "group longer than the buffer", hits: 1, steps: []step{
		synced(bytes.Repeat(read("3"), 3000)), synced(read("3")),
	}},
	{name: "deallocate", hits: 2, steps: []step{
		synced(msgParse("s", readItem, oidInt4), msgParse("t", readItem, oidInt4)),
		synced(msgBind("s", "3"), msgExecute("", 0)), query("DEALLOCATE s"),
		synced(msgBind("s", "3"), msgExecute("", 0)), synced(msgBind("t", "3"), msgExecute("", 0)),
		synced(msgParse("s", readItem, oidInt4)), synced(msgBind("s", "4"), msgExecute("", 0)),
	}},
	{name: "deallocate after each use, as PDO does", hits: 3, steps: []step{
		synced(msgParse("pdo_1", readItem, oidInt4)), synced(msgBind("pdo_1", "3"), msgDescribe('P', ""), msgExecute("", 0)), query("DEALLOCATE pdo_1"),
		synced(msgParse("pdo_2", readItem, oidInt4)), synced(msgBind("pdo_2", "3"), msgDescribe('P', ""), msgExecute("", 0)), query("DEALLOCATE pdo_2"),
		synced(msgParse("Pdo_3", readItem, oidInt4)), synced(msgBind("Pdo_3", "3"), msgDescribe('P', ""), msgExecute("", 0)),
		query("DEALLOCATE Pdo_3"), query(`DEALLOCATE PREPARE "Pdo_3"; `), synced(msgBind("Pdo_3", "3"), msgExecute("", 0)),
		query("PREPARE q1 AS SELECT 1"), query("DEALLOCATE q1"), query("DEALLOCATE q1"),
	}},
	{name: "deallocate one of many", hits: 2, steps: []step{
		synced(manyStatements(2000)), synced(msgBind("s1999", "3"), msgExecute("", 0)), query("DEALLOCATE s7"),
		synced(msgBind("s1999", "3"), msgExecute("", 0)), synced(msgBind("s7", "3"), msgExecute("", 0)),
	}},
	{name: "deallocate all", steps: []step{
		synced(msgParse("s", readItem, oidInt4)), synced(msgBind("s", "3"), msgExecute("", 0)),
		query("DEALLOCATE ALL"), synced(msgBind("s", "3"), msgExecute("", 0)),
		synced(msgParse("s", readItem, oidInt4)), synced(msgBind("s", "3"), msgExecute("", 0)),
		query("DISCARD ALL"), synced(msgBind("s", "3"), msgExecute("", 0)),
	}},
	{name: "deallocate by extended query", steps: []step{
		synced(msgParse("s", readItem, oidInt4)), synced(msgBind("s", "3"), msgExecute("", 0)),
		synced(msgParse("", "DEALLOCATE s"), msgBind(""), msgExecute("", 0)), synced(msgBind("s", "3"), msgExecute("", 0)),
		synced(msgDescribe('S', "s")),
	}},
	{name: "deallocate by a block of code", hits: 1, steps: []step{
		synced(msgParse("s", readItem, oidInt4)), synced(msgParse("t", readItem, oidInt4)), synced(msgBind("s", "3"), msgExecute("", 0)),
		query("DO $$ BEGIN EXECUTE 'DEALLOCATE s'; END $$"), synced(msgBind("s", "3"), msgExecute("", 0)), synced(msgBind("t", "3"), msgExecute("", 0)),
		query("DO $$ BEGIN NULL; END $$"), synced(msgBind("t", "3"), msgExecute("", 0)), synced(msgBind("t", "3"), msgExecute("", 0)),
		synced(msgParse("", "CALL forgets()"), msgBind(""), msgExecute("", 0)), synced(msgBind("t", "3"), msgExecute("", 0)),
	}},
	{name: "name prepared again by SQL", steps: []step{
		synced(msgParse("s", readItem, oidInt4)), synced(msgBind("s", "3"), msgExecute("", 0)),
		query("DEALLOCATE s; PREPARE s AS SELECT name FROM item WHERE id = $1 + 1"),
		synced(msgBind("s", "3"), msgExecute("", 0)), query("EXECUTE s(3)"), synced(msgBind("s", "3"), msgExecute("", 0)),
	}},
	{name: "malformed messages of the extended protocol", hits: 1, steps: []step{
		synced(read("3")),
		synced(protocol.AppendMessage(nil, 'B', []byte("\x00\x00\x00"))), synced(protocol.AppendMessage(nil, 'B', []byte("\x00\x00\x00\x00\x00\x05"))),
		synced(protocol.AppendMessage(nil, 'B', []byte("\x00\x00\x00\x00\x00\x01\x7f\xff\xff\xff3\x00\x00"))),
		synced(msgParse("", readItem), append(msgBind("", "3")[:0:0], protocol.AppendMessage(nil, 'B', msgBind("", "3")[protocol.HeaderLength:], []byte{0})...), msgExecute("", 0)),
		synced(protocol.AppendMessage(nil, 'P', []byte("no terminator"))), synced(protocol.AppendMessage(nil, 'P', []byte("\x00SELECT 1\x00\x00"))),
		synced(protocol.AppendMessage(nil, 'P', []byte("\x00SELECT 1\x00\x00\x02\x00\x00\x00\x17"))),
		synced(protocol.AppendMessage(nil, 'P')), synced(protocol.AppendMessage(nil, 'B')), synced(protocol.AppendMessage(nil, 'D')),
		synced(protocol.AppendMessage(nil, 'E')), synced(protocol.AppendMessage(nil, 'C')),
		synced(protocol.AppendMessage(nil, 'E', []byte("\x00\x00\x00"))), synced(protocol.AppendMessage(nil, 'E', []byte("nobody"))),
		synced(read("3")),
	}},
	{name: "malformed messages about a known statement", hits: 3, steps: []step{
		synced(msgParse("", readItem), msgDescribe('S', "")), synced(read("3")),
		synced(msgDescribe('X', "")), synced(msgParse("", readItem), msgDescribe('X', "")),
		synced(protocol.AppendMessage(nil, 'D', []byte("S"))), synced(protocol.AppendMessage(nil, 'D', []byte("S\x00more"))),
		synced(msgParse("", readItem), protocol.AppendMessage(nil, 'D', []byte("S\x00more"))),
		synced(msgParse("", readItem), msgBind("", "3"), protocol.AppendMessage(nil, 'D', []byte("P\x00more")), msgExecute("", 0)),
		synced(msgParse("", readItem), msgBind("", "3"), protocol.AppendMessage(nil, 'D', []byte("P")), msgExecute("", 0)),
		synced(read("3")), {join(read("3"), protocol.AppendMessage(nil, 'S', []byte("more"))), "Z"}, synced(read("3")),
		synced(read("3"), msgClose('X', "")), synced(read("3"), protocol.AppendMessage(nil, 'E', []byte("\x00\x00\x00\x00\x00\x00"))),
	}},
	{name: "malformed query", hits: 1, steps: []step{
		{protocol.AppendMessage(nil, 'Q', []byte("SELECT name FROM item WHERE id = 3")), "Z"},
		{protocol.AppendMessage(nil, 'Q'), "Z"}, {protocol.AppendMessage(nil, 'Q', []byte("SELECT name FROM item WHERE id = 3\x00more\x00")), "Z"},
		query("SELECT name FROM item WHERE id = 3"),
	}},
	{name: "query while messages are skipped", hits: 1, steps: []step{
		{join(msgBind("nobody"), msgQuery("SELECT 1"), msgCall(1299), msgSync), "Z"}, synced(read("3")),
	}},
	{name: "parse skipped after an error", hits: 1, steps: []step{
		synced(read("3")), synced(msgBind("nobody"), msgParse("", "SELECT 'another'")), synced(msgBind("", "4"), msgExecute("", 0)),
	}},
	{name: "close skipped after an error", hits: 1, steps: []step{
		synced(read("3")), synced(msgBind("nobody"), msgClose('S', "")), synced(msgBind("", "4"), msgExecute("", 0)),
		synced(msgParse("s", readItem)), synced(msgBind("nobody"), msgClose('S', "s")), synced(msgBind("s", "4"), msgExecute("", 0)),
	}},
	{name: "parse of a name skipped after an error", steps: []step{
		synced(msgBind("nobody"), msgParse("s", readItem)), synced(msgBind("s", "3"), msgExecute("", 0)),
		synced(msgParse("s", readItem)), synced(msgBind("s", "3"), msgExecute("", 0)),
	}},
	{name: "cursors", steps: []step{
		query("BEGIN"), query("DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id"), query("FETCH 2 FROM c"),
		synced(msgExecute("c", 2)), query("CLOSE c"), query("COMMIT"),
	}},
	{name: "locks, EXPLAIN, SHOW, VALUES, TABLE and LISTEN", steps: []step{
		query("SELECT name FROM item WHERE id = 1 FOR UPDATE"), query("EXPLAIN (COSTS OFF) SELECT name FROM item"),
		query("SHOW TimeZone"), query("VALUES (1), (2)"), query("TABLE scratch"), query("SELECT"), query("LISTEN x"), query("UNLISTEN x"),
	}},
	{name: "listen and notify", steps: []step{query("LISTEN x"), query("SELECT 1"), query("UNLISTEN *")}},
}

// manyStatements parses one text under n names, s0, s1, …, and under one more name of 60 bytes.
func manyStatements(n int) []byte {
	var all []byte
	for i := range n {
		all = append(all, msgParse(fmt.Sprintf("s%d", i), readItem, oidInt4)...)
	}
	return append(all, msgParse(strings.Repeat("n", 60), readItem, oidInt4)...)
}

func TestSidecarAnswersAsPostgresDoes(t *testing.T) { compareAll(t, differentials) }

// compareAll compares scripts on one database, each directly and through one sidecar.
func compareAll(t *testing.T, scripts []differential) {
	t.Parallel()
	bed := newTestbed(t, differentialSchema)
	s := bed.sidecar()
	for _, d := range scripts {
		t.Run(d.name, func(t *testing.T) { d.compare(t, bed, s) })
	}
}

// compare runs the script directly and through a sidecar until that is warm, and compares the
// answers.
func (d *differential) compare(t *testing.T, bed *testbed, s *side) {
	d.compareAs(t, bed, s, superuser)
}

// compareAs is compare for the clients of a role.
func (d *differential) compareAs(t *testing.T, bed *testbed, s *side, role string) {
	runsMin := warmRuns
	if d.hits > 0 {
		runsMin = coldRuns
	}
	d.compareRuns(t, bed, s, role, runsMin)
}

// compareRuns is compareAs with the least number of runs through the sidecar.
func (d *differential) compareRuns(t *testing.T, bed *testbed, s *side, role string, runsMin int) {
	as := " user=" + role
	play := func(dsn string) [][]byte {
		if d.reset != "" {
			bed.exec(d.reset)
		}
		return d.play(t, dsn)
	}
	want := play(bed.postgres.DSN(bed.database) + as)
	hits := uint64(0)
	again := func() {
		before := s.count(HitL1)
		got := play(s.dsn() + as)
		hits = s.count(HitL1) - before
		for i := range want { // answer 1 is the greeting
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("answer %d differs: Postgres says\n%s\nthe sidecar says\n%s", i+1, show(want[i]), show(got[i]))
			}
		}
	}
	// Tests beside this one change roles, which belong to the whole server: that ends answers that
	// the runs before have cached, so a run without enough hits is repeated.
	deadline := time.Now().Add(servers.EventuallyMax)
	for run := 1; run <= runsMin || time.Now().Before(deadline); run++ {
		if again(); run >= runsMin && hits >= d.hits {
			return
		}
	}
	t.Errorf("%d hits in the last run, want %d at least. So far: %s", hits, d.hits, s.became())
}

// play runs the script on a new connection. It returns the greeting, the answer to each step, and
// what came behind the Terminate.
func (d *differential) play(t *testing.T, dsn string) [][]byte {
	t.Helper()
	c := dialRaw(t, dsn)
	answers := [][]byte{c.greeting}
	for i, step := range d.steps {
		sent := make(chan error, 1)
		go func() { sent <- c.trySend(step.send) }() // the answer may have to be read meanwhile
		answers = append(answers, c.until(step.until))
		if err := <-sent; err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
	c.send(msgTerminate)
	return append(answers, c.rest())
}
