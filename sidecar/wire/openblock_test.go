package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// relayedRead cannot be cached: in a transaction it goes to Postgres, which then knows of the
// transaction. Its analysis says that it does nothing but read.
const relayedRead = "SELECT random() >= 0"

// openBlockDifferentials are transactions that Postgres knows of, most of them by relayedRead, and
// that go on with reads which may be answered from the cache, and with much that forbids it.
var openBlockDifferentials = []differential{
	{name: "reads behind a read", hits: 5, steps: []step{
		query("BEGIN"), query(relayedRead), query("SELECT name FROM item WHERE id = 1"), synced(read("3")), query("SELECT id FROM item WHERE id = -1"), query("COMMIT"),
		synced(once("BEGIN"), once(relayedRead)), synced(read("3")), synced(msgBind("", "4"), msgExecute("", 0)), synced(once("COMMIT")), query("COMMIT"),
	}},
	{name: "savepoints", reset: "TRUNCATE scratch", hits: 3, steps: []step{
		query("BEGIN"), query(relayedRead), query("SAVEPOINT s1"), query("SELECT name FROM item WHERE id = 1"), query("SELECT 1/(id - 3) FROM item WHERE id = 3"),
		query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK TO s1"), query("SELECT name FROM item WHERE id = 1"), query("RELEASE s1"), query("COMMIT"),
		query("BEGIN"), query(relayedRead), query("SAVEPOINT s1"), query("SELECT * FROM scratch"), query("INSERT INTO scratch VALUES (1, 'a')"), query("ROLLBACK TO s1"),
		query("SELECT * FROM scratch"), query("INSERT INTO scratch VALUES (1, 'a')"), query("RELEASE s1"), query("SELECT * FROM scratch"), query("ROLLBACK"), query("SELECT * FROM scratch"),
	}},
	{name: "a write, and a read behind it", reset: "TRUNCATE scratch", hits: 2, steps: []step{
		query("SELECT * FROM scratch"), query("BEGIN"), query(relayedRead), query("SELECT * FROM scratch"), query("INSERT INTO scratch VALUES (1, 'a')"),
		query("SELECT * FROM scratch"), synced(once("SELECT * FROM scratch")), query("ROLLBACK"), query("SELECT * FROM scratch"),
		query("BEGIN"), query(relayedRead), synced(once("INSERT INTO scratch VALUES (1, 'a')"), once("SELECT * FROM scratch")), synced(once("SELECT * FROM scratch")),
		query("ROLLBACK AND CHAIN"), query("SELECT * FROM scratch"), query("COMMIT"),
		query("BEGIN"), query(relayedRead), {msgQuery("COPY scratch FROM STDIN"), "G"}, {join(msgCopyData("1\ta\n"), msgCopyDone), "Z"}, query("SELECT * FROM scratch"), query("ROLLBACK"),
		query("BEGIN"), query(relayedRead), query("SELECT 1; INSERT INTO scratch VALUES (2, 'b')"), query("SELECT * FROM scratch"), query("ROLLBACK"),
		query("BEGIN"), query(relayedRead), query("DO $$ BEGIN INSERT INTO scratch VALUES (2, 'b'); END $$"), query("SELECT * FROM scratch"), query("ROLLBACK"),
	}},
	{name: "AND CHAIN", hits: 2, steps: []step{
		query("BEGIN READ ONLY"), query(relayedRead), query("SELECT name FROM item WHERE id = 1"), query("COMMIT AND CHAIN"), query("SELECT name FROM item WHERE id = 1"),
		query("INSERT INTO scratch VALUES (1, 'a')"), query("SELECT name FROM item WHERE id = 1"), query("ROLLBACK AND CHAIN"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
	}},
	{name: "settings", hits: 3, steps: []step{
		query("SELECT ts FROM kinds WHERE id = 1"), query("BEGIN"), query(relayedRead), query("SELECT ts FROM kinds WHERE id = 1"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), query("SELECT ts FROM kinds WHERE id = 1"),
		query("COMMIT"), query("SELECT ts FROM kinds WHERE id = 1"), query("BEGIN"), query(relayedRead), query("SELECT set_config('TimeZone', 'Asia/Tokyo', true)"),
		query("SELECT ts FROM kinds WHERE id = 1"), query("ROLLBACK AND CHAIN"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"),
		query("BEGIN"), query(relayedRead), query("SAVEPOINT s1"), query("SET TimeZone = 'Asia/Tokyo'"), query("ROLLBACK TO s1"), query("SELECT ts FROM kinds WHERE id = 1"), query("COMMIT"),
	}},
	{name: "isolation", hits: 1, steps: []step{
		query("BEGIN"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
		query("BEGIN ISOLATION LEVEL REPEATABLE READ"), query(relayedRead), query("SELECT name FROM item WHERE id = 1"), query("COMMIT AND CHAIN"),
		query("SELECT name FROM item WHERE id = 1"), query("SHOW transaction_isolation"), query("COMMIT"),
		query("BEGIN"), query(relayedRead), query("SELECT name FROM item WHERE id = 1"), query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), query("COMMIT"),
		query("SET default_transaction_isolation = 'serializable'"), query("BEGIN"), query(relayedRead), query("SELECT name FROM item WHERE id = 1"), query("COMMIT"),
	}},
	{name: "a temporary table that hides a table", hits: 1, steps: []step{
		query("BEGIN"), query(relayedRead), query("SELECT name || '' FROM item WHERE id = 1"), query("CREATE TEMP TABLE item AS SELECT 1 AS id, 'temporary' AS name"),
		query("SELECT name || '' FROM item WHERE id = 1"), synced(once("SELECT name || '' FROM item WHERE id = 1")), query("ROLLBACK"), query("SELECT name || '' FROM item WHERE id = 1"),
	}},
	{name: "cursors and portals", hits: 1, steps: []step{
		query("BEGIN"), query(relayedRead), query("SELECT name FROM item WHERE id = 1"), query("DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id"), query("FETCH 2 FROM c"),
		query("SELECT name FROM item WHERE id = 1"), query("CLOSE c"), query("COMMIT"),
		query("BEGIN"), query(relayedRead), synced(msgParse("", "SELECT id FROM item ORDER BY id"), msgBind(""), msgExecute("", 2)), synced(msgExecute("", 3)), query("COMMIT"),
		query("BEGIN"), query(relayedRead), synced(msgParse("", readItem), msgBind("", "3")), synced(msgExecute("", 0)), query("COMMIT"),
	}},
	{name: "control statements", hits: 1, steps: []step{
		query("BEGIN"), query(relayedRead), query("BEGIN"), query("SELECT name FROM item WHERE id = 1"), query("RELEASE nothing1"), query("SELECT name FROM item WHERE id = 1"), query("END"),
		query("BEGIN"), query(relayedRead), synced(msgParse("s1", readItem, oidInt4)), synced(msgBind("s1", "3"), msgExecute("", 0)), query("DEALLOCATE s1"), query("DEALLOCATE s1"), query("ROLLBACK"),
	}},
	{name: "sent without waiting for answers", reset: "TRUNCATE scratch", steps: []step{
		{join(msgQuery("BEGIN"), msgQuery(relayedRead), msgQuery("SELECT * FROM scratch"), msgQuery("INSERT INTO scratch VALUES (1, 'a')"), msgQuery("SELECT * FROM scratch"),
			msgQuery("ROLLBACK"), msgQuery("SELECT * FROM scratch")), "ZZZZZZZ"},
		query("BEGIN"), query(relayedRead), {join(msgQuery("INSERT INTO scratch VALUES (1, 'a')"), msgQuery("SELECT * FROM scratch")), "ZZ"}, query("SELECT * FROM scratch"), query("ROLLBACK"),
		query("BEGIN"), query(relayedRead), {join(msgParse("", readItem), msgDescribe('S', ""), msgFlush), "T"}, synced(msgBind("", "3"), msgExecute("", 0)), query("ROLLBACK"),
	}},
}

func TestOpenTransactionsAreAnsweredAsPostgresDoes(t *testing.T) {
	compareAll(t, openBlockDifferentials)
}

// beginsRead has a client begin a transaction that Postgres knows of and that has done nothing but
// read.
func (s *side) beginsRead(conn *pgx.Conn) {
	s.bed.t.Helper()
	mustExec(s.bed.t, conn, "BEGIN")
	mustExec(s.bed.t, conn, relayedRead, pgx.QueryExecModeSimpleProtocol)
}

// learnRelayed waits until relayedRead is analysed, and so known to do nothing but read.
func (s *side) learnRelayed() {
	s.bed.t.Helper()
	conn := s.connect()
	defer conn.Close(context.Background())
	servers.Eventually(s.bed.t, "the analysis of "+relayedRead, func() bool {
		// Sent again each time: another test may have changed a role, which ends what was known.
		mustExec(s.bed.t, conn, relayedRead, pgx.QueryExecModeSimpleProtocol)
		return s.knows(relayedRead)
	})
}

// versionOfRow is a read of the item whose id is filled in.
const versionOfRow = "SELECT version FROM item WHERE id = %d"

// A read in a transaction that Postgres knows of, and that has done nothing but read, is captured:
// the same read is a hit then, in this transaction and for another client.
func TestReadInOpenTransactionIsCaptured(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	s.learnRelayed()
	s.learn(fmt.Sprintf(versionOfRow, 1))
	conn, other := s.connect(), s.connect()
	s.warm(conn)
	for id := 10; ; id++ {
		s.beginsRead(conn)
		answered := func() uint64 { return s.count(HitL1) + s.count(Coalesced) }
		hits, misses := answered(), s.count(Miss)
		for _, c := range []*pgx.Conn{conn, conn, other} {
			mustExec(t, c, fmt.Sprintf(versionOfRow, id), pgx.QueryExecModeSimpleProtocol)
		}
		mustExec(t, conn, "COMMIT")
		if answered()-hits == 2 && s.count(Miss)-misses == 1 {
			return
		}
		if id == 90 { // so many, as a change of the schema that is taken in meanwhile has the session's state asked for
			t.Fatalf("%d hits and %d misses of 3 reads of a row, want 2 and 1: %v", answered()-hits, s.count(Miss)-misses, s.Report())
		}
	}
}

// In a transaction of reads a read shows what was committed behind its BEGIN, as in Postgres, though
// an older answer is in the cache and nobody looks unasked.
func TestOpenTransactionReadsWhatWasCommittedMeanwhile(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	s.learnRelayed()
	conn := s.connect()
	s.warm(conn)
	mustExec(t, conn, "BEGIN")
	bed.exec("UPDATE item SET version = 5 WHERE id = 7")
	mustExec(t, conn, relayedRead, pgx.QueryExecModeSimpleProtocol) // its answer comes behind the UPDATE, and so must the look that a hit needs
	if got := versionOf7(t, conn); got != 5 {
		t.Errorf("version %d, want 5", got)
	}
	mustExec(t, conn, "COMMIT")
}

// The interleaving described in openblock.go: Postgres goes by the rights under which a
// transaction has locked a table until the transaction ends. What it shows behind a change of the
// rights is kept for nobody.
func TestReadUnderOlderRightsOfAnOpenTransactionIsKeptForNobody(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, itemSchema)
	s := bed.sidecar()
	s.learnRelayed()
	role := bed.database + "_reader"
	bed.exec("CREATE ROLE " + role + " LOGIN")
	t.Cleanup(func() { bed.exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	dsn := fmt.Sprintf("host=%s port=%d user=%s dbname=%s", s.dir, testPort, role, bed.database)
	// prepared connects a client whose statement is prepared: of a text Postgres looks up the table
	// anew, and takes in the change.
	prepared := func() *pgx.Conn {
		c := bed.connect(dsn)
		if _, err := c.Prepare(t.Context(), "version", "SELECT version FROM item WHERE id = $1"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	conn := prepared()
	reads := func(c *pgx.Conn, id int) error {
		_, err := c.Exec(t.Context(), "version", id)
		return err
	}
	// Postgres takes in the change within the transaction if it has fallen far behind in such news,
	// which other tests' definitions bring about: then nothing is shown, and it is done again.
	servers.Eventually(t, "a read behind the REVOKE to be shown", func() bool {
		bed.exec("UPDATE item SET version = version + 1; GRANT SELECT ON item TO " + role) // no answer is kept from before
		s.received()
		servers.Eventually(t, "a hit of the role", func() bool {
			before := s.count(HitL1)
			return reads(conn, 1) == nil && s.count(HitL1) > before
		})
		s.beginsRead(conn)
		if err := errors.Join(reads(conn, 20), reads(conn, 21)); err != nil { // Postgres has locked the table now
			t.Fatal(err)
		}
		servers.Eventually(t, "a hit within the transaction", func() bool { // behind its look nothing is assumed any more
			before := s.count(HitL1)
			return reads(conn, 21) == nil && s.count(HitL1) > before
		})
		bed.exec("REVOKE SELECT ON item FROM " + role)
		s.received()
		other := prepared() // behind the REVOKE, so that nothing keeps its reads from being hits
		servers.Eventually(t, "the shape to be analysed anew", func() bool {
			pending := s.Report().Bypasses[reasons.AnalysisPending]
			return reads(other, 22) != nil && s.Report().Bypasses[reasons.AnalysisPending] == pending
		})
		shown := 0
		for id := 30; id < 40; id++ { // by the rights under which the table was locked
			if reads(conn, id) == nil {
				shown++
			}
		}
		mustExec(t, conn, "ROLLBACK")
		for id := 30; id < 40; id++ {
			if err := reads(other, id); err == nil {
				t.Fatalf("item %d is shown to a role that may not read it any more, want an error", id)
			}
		}
		return shown > 0
	})
}

// A client in a transaction that Postgres knows of waits for another client's load, and cancels its
// statement: the statement fails, and the transaction with it.
func TestCancelOfAWaitFailsItsOpenTransaction(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(withLargeEntries)
	s.learnRelayed()
	slow, waiting := s.connect(), s.connect()
	s.learn(versionSibling)
	s.warm(waiting)
	s.beginsRead(waiting)
	h := holdLoad(t, slow)
	failed := make(chan error, 1)
	go func() {
		_, err := readVersion(waiting)
		failed <- err
	}()
	servers.Eventually(t, "the statement to be cancelled", func() bool {
		if err := waiting.PgConn().CancelRequest(context.Background()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-failed:
			failed <- err
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	var refusal *pgconn.PgError
	if err := <-failed; !errors.As(err, &refusal) || refusal.Code != "57014" {
		t.Errorf("the statement ends with %v, want 57014, query_canceled", err)
	}
	if status := waiting.PgConn().TxStatus(); status != 'E' {
		t.Errorf("the transaction is %c, want E", status)
	}
	if _, err := waiting.Exec(t.Context(), "SELECT 1"); !errors.As(err, &refusal) || refusal.Code != "25P02" {
		t.Errorf("the next statement ends with %v, want 25P02, in_failed_sql_transaction", err)
	}
	mustExec(t, waiting, "ROLLBACK")
	h.release()
}

// A transaction that Postgres knows of, and whose reads are all answered from the cache, outlives
// idle_in_transaction_session_timeout.
func TestHitsKeepTheirOpenTransactionAlive(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	s.learnRelayed()
	const limit = 2 * time.Second
	conn := bed.connect(s.dsn() + " options='-c idle_in_transaction_session_timeout=2s'")
	s.warm(conn)
	s.beginsRead(conn)
	hits := s.count(HitL1)
	began := time.Now()
	for reads := uint64(1); time.Since(began) < 2*limit || s.count(HitL1)-hits < 20; reads++ {
		versionOf7(t, conn)
		if n := s.count(HitL1) - hits; n < reads/2 && time.Since(began) > servers.EventuallyMax {
			t.Fatalf("%d hits of %d reads, want half at least: the transaction is not kept alive by hits alone", n, reads)
		}
		time.Sleep(limit / 50)
	}
	mustExec(t, conn, "COMMIT")
}
