package wire

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// once parses an unnamed statement without parameters, binds, describes and executes it, without a
// Sync.
func once(sql string) []byte {
	return join(msgParse("", sql), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
}

var blockDifferentials = []differential{
	{name: "reads alone", hits: 3, steps: []step{
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), synced(read("3")), query("SELECT id FROM item WHERE id = -1"), query("COMMIT"),
		query("COMMIT"), query("SELECT name FROM item WHERE id = 1"),
	}},
	{name: "a block without statements", hits: 1, steps: []step{
		query("BEGIN"), query("COMMIT"), query("START TRANSACTION READ ONLY;"), query("ROLLBACK;"), query("begin work"), query("END"),
		query("SELECT name FROM item WHERE id = 1"),
	}},
	{name: "by extended query", hits: 3, steps: []step{
		synced(once("BEGIN")), synced(read("3")), synced(msgBind("", "4"), msgExecute("", 0)), synced(once("COMMIT")),
		synced(msgParse("", "BEGIN"), msgBind(""), msgExecute("", 0)), synced(msgParse("", readItem), msgDescribe('S', "")),
		synced(msgBind("", "3"), msgExecute("", 0)), synced(once("ROLLBACK")), synced(msgBind(""), msgExecute("", 0)),
	}},
	{name: "BEGIN in one group with what follows", reset: "TRUNCATE scratch", hits: 2, steps: []step{
		synced(msgParse("", "BEGIN"), msgBind(""), msgExecute("", 0), read("3")), synced(read("4")), synced(once("COMMIT")),
		synced(once("BEGIN"), once("INSERT INTO scratch VALUES (1, 'a')")), synced(once("SELECT * FROM scratch")), synced(once("COMMIT")),
		synced(once("BEGIN"), once("SELECT 1/0 FROM scratch")), synced(read("3")), synced(once("COMMIT")),
		synced(once("BEGIN"), read("3"), once("COMMIT")), synced(once("BEGIN"), once("COMMIT")), synced(once("COMMIT"), once("BEGIN")),
		synced(read("3")), synced(once("ROLLBACK")),
		synced(once("BEGIN"), msgParse("", "SELECT nothing")), synced(read("3")), synced(once("ROLLBACK")),
	}},
	{name: "named control statements", hits: 2, steps: []step{
		synced(msgParse("b", "BEGIN"), msgParse("c", "COMMIT"), msgParse("s", readItem)),
		synced(msgBind("b"), msgExecute("", 0)), synced(msgBind("s", "3"), msgExecute("", 0)), synced(msgBind("c"), msgExecute("", 0)),
		synced(msgBind("b"), msgExecute("", 0), msgBind("s", "3"), msgExecute("", 0)), synced(msgBind("c"), msgExecute("", 0)),
		query("DEALLOCATE b"), synced(msgBind("b"), msgExecute("", 0)), query("COMMIT"),
	}},
	{name: "control statements bound wrongly", hits: 1, steps: []step{
		synced(msgParse("", "BEGIN"), msgBind("", "1"), msgExecute("", 0)), synced(read("3")),
		synced(msgParse("", "BEGIN"), binding{results: []uint16{0, 0}}.message(), msgExecute("", 0)), synced(read("3")),
		synced(msgParse("", "BEGIN"), binding{formats: []uint16{1}, results: []uint16{1}}.message(), msgExecute("", 0)), query("COMMIT"),
		synced(msgParse("", "BEGIN", oidInt4), msgBind("", "1"), msgExecute("", 0)), query("COMMIT"),
		synced(msgParse("", "BEGIN"), msgBind(""), msgExecute("", 1)), query("COMMIT"),
		{protocol.AppendMessage(nil, 'Q', []byte("BEGIN\x00more\x00")), "Z"}, query("BEGIN"), {protocol.AppendMessage(nil, 'Q', []byte("COMMIT\x00more\x00")), "Z"}, query("COMMIT"),
	}},
	{name: "BEGIN in one query with what follows, as psqlODBC sends it", reset: "TRUNCATE scratch", hits: 9, steps: []step{
		query("BEGIN;SELECT name FROM item WHERE id = 1"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN; SAVEPOINT s1; SELECT name FROM item WHERE id = 1;"), query("SAVEPOINT s2;SELECT name FROM item WHERE id = 1"), query("ROLLBACK TO s1"), query("RELEASE s2"), query("COMMIT"),
		query("BEGIN;SAVEPOINT s1"), query("SELECT name FROM item WHERE id = 1"), query("RELEASE s1"), query("ROLLBACK"),
		query("BEGIN;SELECT 1/(id - 3) FROM item WHERE id = 3"), query("SELECT name FROM item WHERE id = 1"), query("SAVEPOINT s1;SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN;SELEC"), query("SELECT name FROM item WHERE id = 1"), query("BEGIN;SELECT nothing FROM item"), query("ROLLBACK"),
		query("BEGIN;INSERT INTO scratch VALUES (1, 'a')"), query("SELECT * FROM scratch"), query("SAVEPOINT s1;SELECT name FROM item WHERE id = 1"), query("ROLLBACK TO s1"), query("ROLLBACK"),
		query("BEGIN;SELECT now() > '2020-01-01' FROM item WHERE id = 1"), query("SAVEPOINT s1;SELECT name FROM item WHERE id = 1"), query("RELEASE s1"), query("COMMIT"),
		query("BEGIN;SELECT name FROM item WHERE id = 1"), query("BEGIN;SELECT name FROM item WHERE id = 1"), query("COMMIT;SELECT name FROM item WHERE id = 1"),
		query("BEGIN;SELECT name FROM item WHERE id = 1;COMMIT"), query("BEGIN;SELECT name FROM item WHERE id = 1"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT * FROM scratch"), query("COMMIT"),
		query("BEGIN READ ONLY;SELECT name FROM item WHERE id = 1"), query("INSERT INTO scratch VALUES (2, 'a')"), query("ROLLBACK"),
		query("BEGIN;SET LOCAL app.a = 'x';SELECT name FROM item WHERE id = 1"), query("SHOW app.a"), query("COMMIT"), query("SHOW app.a"),
		query("BEGIN;SET LOCAL work_mem = 'x';SELECT name FROM item WHERE id = 1"), query("COMMIT"), query("SAVEPOINT s1;SELECT name FROM item WHERE id = 1"),
		{join(msgQuery("BEGIN;SELECT name FROM item WHERE id = 1"), msgQuery("COMMIT")), "ZZ"}, query("SELECT name FROM item WHERE id = 1"),
	}},
	{name: "BEGIN with a row limit, as JDBC sends it", hits: 3, steps: []step{
		synced(msgParse("", "BEGIN"), msgBind(""), msgExecute("", 1), read("3")), synced(read("4")),
		synced(msgParse("", "COMMIT"), msgBind(""), msgExecute("", 1)), synced(read("3")),
	}},
	{name: "deallocate in a block", hits: 2, steps: []step{
		query("BEGIN"), synced(msgParse("s1", readItem, oidInt4)), synced(msgBind("s1", "3"), msgExecute("", 0)), query("DEALLOCATE s1"),
		synced(msgParse("s1", readItem, oidInt4)), synced(msgBind("s1", "3"), msgExecute("", 0)), query("DEALLOCATE s1"), query("COMMIT"),
		query("BEGIN"), query("DEALLOCATE s1"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SELECT nothing"), query("DEALLOCATE s1"), query("ROLLBACK"),
	}},
	{name: "prepare in a block", hits: 1, steps: []step{
		query("BEGIN"), synced(msgParse("s", readItem, oidInt4), msgDescribe('S', "s")), synced(msgBind("s", "3"), msgExecute("", 0)),
		synced(msgClose('S', "s")), query("COMMIT"),
		query("BEGIN"), synced(msgParse("s", "SELECT nothing")), synced(read("3")), query("ROLLBACK"),
		query("BEGIN"), {join(msgParse("", readItem), msgDescribe('S', ""), msgFlush), "T"}, synced(msgBind("", "3"), msgExecute("", 0)), query("ROLLBACK"),
	}},
	{name: "reads, then a write", reset: "TRUNCATE scratch", hits: 3, steps: []step{
		query("BEGIN"), query("SELECT * FROM scratch"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT * FROM scratch"), query("ROLLBACK"),
		query("SELECT * FROM scratch"), query("BEGIN"), synced(read("3")), synced(once("INSERT INTO scratch VALUES (2, 'b')")),
		synced(once("SELECT * FROM scratch")), query("COMMIT"), query("SELECT * FROM scratch"), query("BEGIN"), query("SELECT * FROM scratch"), query("COMMIT"),
	}},
	{name: "failed statement", hits: 4, steps: []step{
		query("BEGIN"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("SELECT name FROM item WHERE id = 1"),
		query("BEGIN"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("ROLLBACK"), query("SELECT name FROM item WHERE id = 1"),
		query("BEGIN"), query("SELECT nothing FROM item"), query("SELECT 1"), query("END"),
		query("BEGIN"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("SELECT"), query("SAVEPOINT s1"), query("BEGIN"), query("RELEASE s1"),
		query("ROLLBACK TO s1"), query("COMMIT AND CHAIN"), query("COMMIT"),
		query("BEGIN"), synced(read("x")), synced(read("3")), synced(once("ROLLBACK")), synced(read("3")), synced(read("3")),
		query("BEGIN"), synced(read("3"), read("x"), read("4")), synced(once("COMMIT")), query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
	}},
	{name: "savepoints", reset: "TRUNCATE scratch", hits: 5, steps: []step{
		query("BEGIN"), query("SAVEPOINT s1"), query("SELECT name FROM item WHERE id = 1"), query("RELEASE s1"), query("RELEASE s1"), query("COMMIT"),
		query("BEGIN"), query("SAVEPOINT s1"), query(`SAVEPOINT "s 2"`), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK TO s1"),
		query(`RELEASE "s 2"`), query("COMMIT"),
		query("BEGIN"), query("SAVEPOINT s1"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("SELECT name FROM item WHERE id = 1"),
		query("ROLLBACK TO s1"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SAVEPOINT s1"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("ROLLBACK TO SAVEPOINT S1"),
		query("SELECT name FROM item WHERE id = 1"), query("RELEASE SAVEPOINT s1"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SAVEPOINT s1"), query("SAVEPOINT s2"), query("INSERT INTO scratch VALUES (1, 'a')"), query("ROLLBACK TO s1"),
		query("SELECT * FROM scratch"), query("RELEASE s2"), query("ROLLBACK"),
		query("BEGIN"), query("SAVEPOINT s1"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SAVEPOINT s1"), query("INSERT INTO scratch VALUES (2, 'b')"),
		query("ROLLBACK TO s1"), query("SELECT * FROM scratch"), query("RELEASE s1"), query("ROLLBACK TO s1"), query("SELECT * FROM scratch"), query("COMMIT"),
		query("SAVEPOINT s1"), query("RELEASE s1"), query("ROLLBACK TO s1"), synced(once("BEGIN")), synced(once("SAVEPOINT s1")), synced(read("3")),
		synced(once("ROLLBACK TO s1")), synced(once("RELEASE s1")), synced(once("COMMIT")),
	}},
	{name: "more savepoints than are held back", hits: 1, steps: []step{
		query("BEGIN"), {bytes.Repeat(msgQuery("SAVEPOINT s1"), block.StepsMax+2), strings.Repeat("Z", block.StepsMax+2)},
		query("SELECT name FROM item WHERE id = 1"), query("RELEASE s1"), query("COMMIT"), query("SELECT name FROM item WHERE id = 1"),
	}},
	{name: "COMMIT and ROLLBACK AND CHAIN", hits: 3, steps: []step{
		query("BEGIN READ ONLY"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT AND CHAIN"), query("SELECT name FROM item WHERE id = 1"),
		query("INSERT INTO scratch VALUES (1, 'a')"), query("ROLLBACK AND CHAIN"), query("SHOW transaction_read_only"), query("COMMIT"),
		query("BEGIN"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"), query("ROLLBACK AND CHAIN"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
	}},
	{name: "isolation", hits: 2, steps: []step{
		query("BEGIN ISOLATION LEVEL REPEATABLE READ"), query("SHOW transaction_isolation"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"), query("COMMIT"),
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("COMMIT"),
		query("BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY"), query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"),
		query("SELECT set_config('transaction_isolation', 'serializable', true)"), query("COMMIT"),
		query("SET default_transaction_isolation = 'serializable'"), query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"),
		query("COMMIT"),
	}},
	{name: "isolation set behind a read and the statement that opens the block", reset: "TRUNCATE scratch", hits: 6, steps: []step{
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("INSERT INTO scratch VALUES (1, 'a')"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("ROLLBACK"),
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), synced(once("INSERT INTO scratch VALUES (1, 'a')")), query("SET TRANSACTION READ WRITE"), query("ROLLBACK"),
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), synced(once("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), once("INSERT INTO scratch VALUES (1, 'a')")), query("ROLLBACK"),
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("SAVEPOINT s1"), query("INSERT INTO INTO"), query("ROLLBACK TO s1"), query("RELEASE s1"),
		query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("ROLLBACK"),
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("EXPLAIN (COSTS OFF) SELECT 1"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("ROLLBACK"),
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("ROLLBACK"),
	}},
	{name: "settings in a block", hits: 2, steps: []step{
		query("BEGIN"), query("SELECT ts FROM kinds WHERE id = 1"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), query("SELECT ts FROM kinds WHERE id = 1"),
		query("COMMIT"), query("BEGIN"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query("SET TimeZone = 'Asia/Tokyo'"), query("ROLLBACK"), query("SELECT ts FROM kinds WHERE id = 1"),
	}},
	{name: "statements that are no reads", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		query("BEGIN"), query("SELECT name FROM item WHERE id = 1 FOR UPDATE"), query("COMMIT"),
		query("BEGIN"), query("BEGIN"), query("COMMIT"), query("BEGIN"), query(""), query("LISTEN x"), query("COMMIT"),
		query("BEGIN"), {msgCall(1317, "four"), "Z"}, query("COMMIT"), query("BEGIN"), query("SELECT 1; SELECT 2"), query("COMMIT"),
		query("BEGIN"), {msgQuery("COPY scratch FROM STDIN"), "G"}, {join(msgCopyData("1\ta\n"), msgCopyDone), "Z"}, query("SELECT * FROM scratch"), query("COMMIT"),
		query("BEGIN"), synced(), synced(msgClose('S', "nobody")), synced(msgParse("", "SELECT 1")), query("PREPARE TRANSACTION 'x'"), query("COMMIT"),
		query("BEGIN"), query("DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id"), query("FETCH 2 FROM c"), query("COMMIT"),
		query("BEGIN"), {msgCopyDone, ""}, query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
	}},
	{name: "portals live as long as the transaction", steps: []step{
		query("BEGIN"), synced(msgParse("", readItem), msgBind("", "3")), synced(msgExecute("", 0)), query("COMMIT"),
		query("BEGIN"), synced(msgParse("", readItem), msgBind("", "3"), msgDescribe('P', "")), synced(msgExecute("", 1)), query("COMMIT"),
		query("SELECT name FROM item WHERE id = 1"),
		query("BEGIN"), synced(msgParse("", "SELECT id FROM item ORDER BY id"), msgBind(""), msgExecute("", 2)), synced(msgExecute("", 3)), query("COMMIT"),
	}},
	{name: "a message longer than the buffer in a block", reset: "TRUNCATE scratch", hits: 1, steps: []step{
		query("BEGIN"), query("SELECT * FROM scratch"), query("INSERT INTO scratch VALUES (1, '" + strings.Repeat("y", 2<<20) + "')"),
		query("SELECT id FROM scratch"), query("ROLLBACK"), query("SELECT * FROM scratch"),
		query("BEGIN"), synced(msgParse("", "SELECT id /*"+strings.Repeat("z", 300<<10)+"*/ FROM item WHERE id = $1")),
		synced(msgBind("", "3"), msgExecute("", 0)), query("COMMIT"),
	}},
	{name: "sent without waiting for answers", reset: "TRUNCATE scratch", steps: []step{
		{join(msgQuery("BEGIN"), msgQuery("SELECT name FROM item WHERE id = 1"), msgQuery("SELECT 1/(id - 3) FROM item WHERE id = 3"),
			msgQuery("INSERT INTO scratch VALUES (1, 'a')"), msgQuery("COMMIT")), "ZZZZZ"},
		query("SELECT * FROM scratch"),
		{join(once("BEGIN"), msgSync, read("3"), msgSync, read("x"), msgSync, once("INSERT INTO scratch VALUES (1, 'a')"), msgSync, once("COMMIT"), msgSync), "ZZZZZ"},
		query("SELECT * FROM scratch"),
		{join(msgQuery("BEGIN"), msgQuery("INSERT INTO scratch VALUES (1, 'a')"), msgQuery("COMMIT"), msgQuery("SELECT * FROM scratch")), "ZZZZ"},
	}},
	{name: "the connection ends in a block", reset: "TRUNCATE scratch", steps: []step{query("BEGIN"), query("SELECT * FROM scratch")}},
}

func TestBlocksAreAnsweredAsPostgresDoes(t *testing.T) { compareAll(t, blockDifferentials) }

// The sidecar holds a BEGIN back for the sake of this: a block whose reads are all hits costs
// Postgres no statement, no probe and no transaction.
func TestBlockOfReadsNeverReachesPostgres(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	conn := s.connect()
	s.warm(conn)
	before := s.Report()
	for range 5 {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := versionOf7(t, tx.Conn()); got != 0 {
			t.Fatalf("version %d, want 0", got)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after := s.Report()
	if n := after.UpstreamQueries - before.UpstreamQueries + after.UpstreamProbes - before.UpstreamProbes; n != 0 {
		t.Errorf("%d statements reached Postgres, want none", n)
	}
	if held, opened := after.TransactionsHeld-before.TransactionsHeld, after.TransactionsOpened-before.TransactionsOpened; held != 5 || opened != 0 {
		t.Errorf("%d transactions held back and %d opened, want 5 and 0", held, opened)
	}
	if hits := after.Queries["hit_l1"] - before.Queries["hit_l1"]; hits != 5 {
		t.Errorf("%d hits, want 5", hits)
	}
}

// Forces the interleaving described at beginBlockRead: a block that may write is not shown a row
// older than its BEGIN, though the follower has not heard of the change. A block that is READ ONLY
// cannot write what it computed from an old row, and is shown the answer in the cache.
func TestBlockReadsWhatWasCommittedBeforeIt(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	for _, begin := range []string{"BEGIN", "BEGIN READ ONLY"} {
		ear.open()
		conn := s.connect()
		want, shown := s.overlooked(ear, conn, func(sql string) { bed.exec(sql) })
		if begin == "BEGIN READ ONLY" {
			want = shown
		}
		if _, err := conn.Exec(t.Context(), begin); err != nil {
			t.Fatal(err)
		}
		if got := versionOf7(t, conn); got != want {
			t.Errorf("behind %s version %d is read, want %d", begin, got, want)
		}
		if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
}

// A cancel request of the client may meet the BEGIN that the sidecar held back and sends right
// before the block's first write. The write must still run inside the transaction: nothing of it
// is left behind the ROLLBACK. TestHeldBlockIsOpenedByTheFirstStatementThatNeedsIt forces this by
// script for each kind of opening, and how Postgres skips. Here the request is a real one, which
// meets the BEGIN, the write or neither, as luck has it: a few rounds show that none does harm.
func TestWriteStaysInItsBlockWhenTheOpeningIsCancelled(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	conn := s.connect()
	s.warm(conn)
	for range 40 {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		versionOf7(t, conn)
		cancelled := make(chan error, 1)
		go func() { cancelled <- conn.PgConn().CancelRequest(context.Background()) }()
		_, err = tx.Exec(t.Context(), "UPDATE item SET version = version + 1 WHERE id = 7")
		if err := <-cancelled; err != nil {
			t.Fatal(err)
		}
		var refusal *pgconn.PgError
		if err != nil && (!errors.As(err, &refusal) || refusal.Code != "57014") {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil && !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		var version int
		if err := bed.direct.QueryRow(t.Context(), "SELECT version FROM item WHERE id = 7").Scan(&version); err != nil {
			t.Fatal(err)
		}
		if version != 0 {
			t.Fatalf("version %d behind the ROLLBACK, want 0: the write ran outside its transaction", version)
		}
	}
}
