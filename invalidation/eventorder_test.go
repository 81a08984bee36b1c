package invalidation

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// The tests of this file each force an order of events that a plainer protocol gets
// wrong. More of them stand beside what they are about.

func (db *database) pid(query string) int {
	db.t.Helper()
	pid, err := strconv.Atoi(db.value(query))
	if err != nil {
		db.t.Fatal(err)
	}
	return pid
}

func (db *database) signal(pid int, signal syscall.Signal) {
	db.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		db.t.Fatal(err)
	}
}

// Forced, with every commit synchronous:
//
//  1. transactions roll back; the log of that is not on the disk, because the
//     process that writes it is stopped, and nobody waits for a rollback;
//  2. a head sees their ids, and an entry is labelled with it;
//  3. a backend is killed, and the server recovers by itself;
//  4. a new transaction commits under one of those ids: by the numbers alone the
//     entry's label claims to see it.
func TestIdentifiersAreReusedAfterACrash(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, map[string]string{"synchronous_commit": "on", "checkpoint_timeout": "1h"})
	f := db.follow(nil)
	f.confirmNow()
	// What the keeper does at first is a commit, and would have the log of the rollbacks written.
	servers.Eventually(t, "the outbox was trimmed", func() bool { return f.Stats().Outbox.Bytes > 0 })
	writer := db.pid("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
	victim := db.connect()
	db.run("CHECKPOINT")
	db.signal(writer, syscall.SIGSTOP)
	for range 50 {
		db.run("BEGIN; UPDATE users SET name = 'gone' WHERE id = 1; ROLLBACK")
	}
	f.confirmNow()
	old := f.reads("users/id=1")
	label := f.fence.Head().Snapshot // what it is labelled with
	reconnects := f.Stats().Reconnects
	db.signal(int(victim.PgConn().PID()), syscall.SIGKILL)
	servers.Eventually(t, "the follower lost its connection", func() bool { return f.Stats().Reconnects > reconnects })
	db.signal(writer, syscall.SIGCONT) // it is told to end, too
	db.reconnect()
	db.run("UPDATE users SET name = 'reused' WHERE id = 1")
	xid, err := strconv.ParseUint(db.value("SELECT max(xid) FROM freshet.outbox"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if !label.Sees(fence.XID(xid)) {
		t.Fatalf("transaction %d is new to %v: no id was reused, nothing was tested", xid, label)
	}
	f.confirmNow()
	f.wantAdmitted(old, false, "an entry from before the crash, that lacks a write under a reused id")
	again := f.reads("users/id=1")
	db.run("UPDATE users SET name = 'later' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(again, false, "an entry of the new incarnation")
}

// Transactions that stay open, prepared ones for days, must not keep a follower
// from being awake.
func TestPreparedTransactionKeepsNoLock(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, map[string]string{"max_prepared_transactions": "5"})
	writer := db.connect()
	runOn(t, writer, "BEGIN", "UPDATE users SET name = 'x' WHERE id = 1", "PREPARE TRANSACTION 'open'")
	if got := db.value("SELECT pg_try_advisory_lock($1)", doorbellLock); got != "true" {
		t.Error("a prepared transaction holds the doorbell's lock")
	}
	runOn(t, writer, "COMMIT PREPARED 'open'")
}

// A look under SERIALIZABLE would be part of conflicts between users'
// transactions and make one of them fail.
func TestFollowerAbortsNobody(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("ALTER DATABASE " + db.value("SELECT current_database()") + " SET default_transaction_isolation = serializable")
	f := db.follow(nil)
	reader, writer := db.connect(), db.connect()
	for range 20 {
		// Reader sees the old state, writer writes what reader read, and a look comes
		// between: a third serializable transaction would close the circle.
		runOn(t, reader, "BEGIN", "SELECT name FROM users WHERE id = 1")
		runOn(t, writer, "BEGIN", "UPDATE users SET name = 'w' WHERE id = 1", "COMMIT")
		f.confirmNow()
		runOn(t, reader, "UPDATE users SET name = 'r' WHERE id = 2", "COMMIT")
		f.confirmNow()
	}
}

// A subscriber of a publication FOR ALL TABLES that has Freshet of its own gets
// the publisher's outbox rows, whose ids mean nothing there.
func TestDumpOfEverythingBringsForeignRows(t *testing.T) {
	t.Parallel()
	pg, db := startServer(t, nil)
	db.run("SELECT pg_current_xact_id() FROM generate_series(1, 3)", "UPDATE users SET name = 'x' WHERE id = 1")
	db.run(fmt.Sprintf("UPDATE freshet.outbox SET xid = '%d'", uint64(1)<<40))
	file := filepath.Join(t.TempDir(), "dump.sql")
	for _, arguments := range [][]string{{"pg_dump", "-f", file, db.dsn}, {"createdb", "-h", pg.SocketDir(), "-U", "postgres", "copy"}, {"psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", file, pg.DSN("copy")}} {
		if out, err := exec.CommandContext(t.Context(), filepath.Join(pg.BinDir(), arguments[0]), arguments[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", arguments[0], err, out)
		}
	}
	copied := openDatabase(t, pg.DSN("copy"))
	copied.install("public.*")
	f := copied.follow(nil)
	f.confirmNow()
	if n := copied.value("SELECT count(*) FROM freshet.outbox WHERE xid >= $1::text::xid8", strconv.FormatUint(1<<40, 10)); n != "0" {
		t.Errorf("%s rows of the other server are read at every look", n)
	}
	f.wantWritings([]writing{{"a write here", "UPDATE users SET name = 'y' WHERE id = 1", []string{"users/id=1"}, []string{"users/id=2"}}})
}

// A look inside a VOLATILE function would take a new snapshot for each of its
// statements: rows that commit between them are in the head and not among the
// events. It is one plain statement, and its head is that statement's snapshot.
func TestLookIsOneStatement(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	sd, err := s.looker.conn.Prepare(t.Context(), lookName, lookSQL)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(strings.TrimSpace(sd.SQL), ";") != 0 {
		t.Error("the look holds several statements")
	}
	var isolation string
	if err := s.looker.conn.QueryRow(t.Context(), "SHOW transaction_isolation").Scan(&isolation); err != nil || isolation != "read committed" {
		t.Errorf("looks are made under %q (%v)", isolation, err)
	}
	if s.looker.conn.PgConn().TxStatus() != 'I' {
		t.Error("looks are made inside a transaction")
	}
	// The function that clients call reads with the snapshot of their statement.
	if got := db.value("SELECT provolatile FROM pg_proc WHERE proname = 'incarnation'"); got != "s" {
		t.Errorf("freshet.incarnation() is %s, want s: STABLE", got)
	}
}

// What a subtransaction wrote and took back leaves no event, and a statement that
// changes no row writes nothing, not even a transaction id.
func TestNothingIsWrittenForNothing(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	var assigned *string
	err := pgx.BeginFunc(t.Context(), db.Conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "UPDATE users SET name = 'x' WHERE id = 99"); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), "SELECT pg_current_xact_id_if_assigned()::text").Scan(&assigned)
	})
	if err != nil || assigned != nil {
		t.Errorf("an update of no row has transaction id %v (%v)", assigned, err)
	}
	if got := db.outboxTags("SAVEPOINT s", "UPDATE users SET name = 'x' WHERE id = 1", "ROLLBACK TO s", "UPDATE users SET name = 'y' WHERE id = 99"); len(got) != 0 {
		t.Errorf("what a subtransaction took back left events of %q", got)
	}
}
