package wire

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// msgComplete is the CommandComplete with this tag.
func msgComplete(tag string) []byte { return protocol.AppendMessage(nil, 'C', []byte(tag+"\x00")) }

// The fence is told of a write before the client is told. A number in a case's name is that of the
// interleaving in mark.go; answer is the first that Postgres sends then and the client receives.
func TestWriteIsMarkedBeforeItsAcknowledgement(t *testing.T) {
	t.Parallel()
	unproven, sync := conversation.Expectation{Kind: conversation.Query}, conversation.Expectation{Kind: conversation.Sync}
	failed := protocol.ErrorResponse("ERROR", "P0001", "after a commit", "")
	cases := map[string]struct {
		due    []conversation.Expectation // what Postgres owes
		answer []byte
	}{
		"1, COMMIT in a pipeline":         {[]conversation.Expectation{{Kind: conversation.Execute}, sync}, msgComplete("COMMIT")},
		"1, and its Sync not sent":        {[]conversation.Expectation{{Kind: conversation.Execute}}, msgComplete("COMMIT")},
		"2, before the ReadyForQuery":     {[]conversation.Expectation{unproven}, msgComplete("UPDATE 1")},
		"3, a CALL that fails":            {[]conversation.Expectation{{Kind: conversation.Execute}, sync}, failed},
		"3, a Query that fails":           {[]conversation.Expectation{unproven}, failed},
		"3, a notice":                     {[]conversation.Expectation{unproven}, protocol.AppendMessage(nil, 'N', []byte("SNOTICE\x00\x00"))},
		"a portal that is left suspended": {[]conversation.Expectation{{Kind: conversation.Execute}, sync}, protocol.AppendMessage(nil, 's')},
		"an empty query":                  {[]conversation.Expectation{unproven}, protocol.AppendMessage(nil, 'I')},
		"a function call":                 {[]conversation.Expectation{unproven}, join(protocol.AppendMessage(nil, 'V', make([]byte, 4)), []byte(protocol.ReadyIdle))},
		"a message of no known kind":      {[]conversation.Expectation{unproven}, protocol.AppendMessage(nil, '~')},
		"the end of the connection":       {nil, protocol.ErrorResponse("FATAL", "57P01", "terminating connection", "")},
	}
	for name, c := range cases {
		s := unconnected(t)
		for _, e := range c.due {
			s.talk.Owe(e)
		}
		before := fence.Now()
		s.receive(t, c.answer)
		if at := s.server.fence.Marked(nil); at < before {
			t.Errorf("%s: the fence is marked at %d, want at %d or later: the client is told, and the fence was not", name, at, before)
		}
	}
}

// Interleavings 4 and 5 of mark.go: a write is marked again with each message that may say that it
// is committed, until Postgres is idle.
func TestWriteIsMarkedUntilPostgresIsIdle(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	// marks has Postgres answer, and requires that the fence is marked, or is not.
	marks := func(what string, answer []byte, want bool) {
		t.Helper()
		before := fence.Now()
		s.receive(t, answer)
		if got := s.server.fence.Marked(nil) >= before; got != want {
			t.Errorf("%s: the fence is marked: %v, want %v", what, got, want)
		}
	}
	begun := protocol.AppendMessage(nil, 'Z', []byte{protocol.StatusInBlock})
	s.talk.Owe(conversation.Expectation{Kind: conversation.Execute})
	s.talk.Owe(conversation.Expectation{Kind: conversation.Sync})
	marks("UPDATE", msgComplete("UPDATE 1"), true)
	marks("ReadyForQuery in the block", begun, true)
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Effect: shapes.NoEffect})
	marks("COMMIT", msgComplete("COMMIT"), true)
	marks("ReadyForQuery behind COMMIT", []byte(protocol.ReadyIdle), true)
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Harmless: true})
	marks("a read behind it", join(msgComplete("SELECT 1"), []byte(protocol.ReadyIdle)), false)
}

// Interleaving 6 of mark.go: when Postgres is lost with a statement under way, that may have been
// committed, and everything is marked. Of an idle session nothing is.
func TestLossOfPostgresIsMarkedWithAStatementUnderWay(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.markLost()
	if s.server.fence.Marked(nil) != 0 {
		t.Error("the loss of Postgres is marked though nothing was under way, want no mark")
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query})
	s.markLost()
	if s.server.fence.Marked(nil) == 0 {
		t.Error("the loss of Postgres is not marked though a statement was under way, want a mark")
	}
}

// What one connection has written, every other of the same sidecar reads at once, though the
// sidecar may serve answers an hour old and looks once a minute unless it is asked to.
func TestEveryConnectionSeesWhatOneWrote(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	bed.exec(`CREATE PROCEDURE commit_and_fail(v integer) LANGUAGE plpgsql AS
		$$BEGIN UPDATE item SET version = v WHERE id = 7; COMMIT; RAISE EXCEPTION 'done'; END$$`)
	s := bed.sidecar(lazy)
	writer, other, reader := s.connect(), s.connect(), s.connect()
	raw := dialRaw(t, s.dsn())
	do := func(conn *pgx.Conn, sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	update := func(v int) string { return fmt.Sprintf("UPDATE item SET version = %d WHERE id = 7", v) }
	writes := map[string]func(v int){
		"a Query":           func(v int) { do(writer, update(v)) },
		"a prepared UPDATE": func(v int) { mustExec(t, writer, "UPDATE item SET version = $1 WHERE id = 7", v) },
		"a transaction": func(v int) {
			do(writer, "BEGIN")
			versionOf7(t, writer)
			do(writer, update(v))
			do(writer, "COMMIT")
		},
		"several statements in a Query": func(v int) { do(writer, update(v)+"; SELECT 1") },
		"COMMIT behind a failure": func(v int) {
			do(writer, "BEGIN; "+update(v)+"; SAVEPOINT a")
			if _, err := writer.Exec(t.Context(), "SELECT 1/0"); err == nil {
				t.Fatal("SELECT 1/0 succeeds, want an error")
			}
			do(writer, "ROLLBACK TO a; COMMIT")
		},
		"a CALL that fails": func(v int) {
			if _, err := writer.Exec(t.Context(), fmt.Sprintf("CALL commit_and_fail(%d)", v), pgx.QueryExecModeSimpleProtocol); err == nil {
				t.Fatal("CALL commit_and_fail succeeds, want its exception")
			}
		},
		"PREPARE TRANSACTION, and COMMIT PREPARED by another": func(v int) {
			do(writer, "BEGIN; "+update(v)+"; PREPARE TRANSACTION 'moved'")
			versionOf7(t, reader) // demands a look behind the mark of the UPDATE: COMMIT PREPARED must mark anew
			do(other, "COMMIT PREPARED 'moved'")
		},
		"COPY": func(v int) {
			do(writer, "BEGIN; DELETE FROM item WHERE id = 7")
			tag, err := writer.PgConn().CopyFrom(t.Context(), strings.NewReader(fmt.Sprintf("7\tseven\t%d\n", v)), "COPY item (id, name, version) FROM STDIN")
			if err != nil || tag.RowsAffected() != 1 {
				t.Fatalf("COPY of one row: %v, %v", tag, err)
			}
			do(writer, "COMMIT")
		},
		"a pipeline of which the Sync is to come": func(v int) {
			raw.send(join(msgParse("", "BEGIN"), msgBind(""), msgExecute("", 0), msgParse("", update(v)), msgBind(""), msgExecute("", 0),
				msgParse("", "COMMIT"), msgBind(""), msgExecute("", 0), msgFlush))
			raw.until("CCC")
		},
	}
	version := 0
	for name, write := range writes {
		s.warm(reader)
		version++
		write(version)
		if got := versionOf7(t, reader); got != version {
			t.Errorf("%s: another connection reads version %d, want %d, which is acknowledged", name, got, version)
		}
		if name == "a pipeline of which the Sync is to come" {
			raw.ask(msgSync)
		}
	}
}

// Two clients that take turns by a lock outside of Postgres, each reading on one connection and
// writing on another, lose no update. Every other turn of each reads in a transaction, which is
// held back.
func TestLockOutsideOfPostgresLosesNoUpdate(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	type client struct{ reads, writes *pgx.Conn }
	clients := []client{{s.connect(), s.connect()}, {s.connect(), s.connect()}}
	s.warm(clients[0].reads)
	const turns = 20
	for i := range turns { // one turn after the other, as under the lock
		c := clients[i%2]
		if i%4 < 2 {
			mustExec(t, c.reads, "BEGIN")
		}
		version := versionOf7(t, c.reads)
		if i%4 < 2 {
			mustExec(t, c.reads, "COMMIT")
		}
		mustExec(t, c.writes, "UPDATE item SET version = $1 WHERE id = 7", version+1)
	}
	if got := versionOf7(t, bed.direct); got != turns {
		t.Errorf("version %d behind %d updates, want %d: %d are lost", got, turns, turns, turns-got)
	}
}

// A bounded session is not shown at once what others write: a hit within its staleness, an hour
// here, waits for no look.
func TestBoundedSessionIsServedWithoutALookBehindAWrite(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	writer, reader := s.connect(), s.connect()
	mustExec(t, reader, "SET freshet.consistency = 'bounded'")
	s.warm(reader)
	mustExec(t, writer, "UPDATE item SET version = 1 WHERE id = 7")
	if got := versionOf7(t, reader); got != 0 {
		t.Errorf("version %d is read, want 0, which is in the cache and within the staleness", got)
	}
}

// A session that has just written needs a look before a hit, and none before a load. So where the
// answer is known to have ended, it loads, and waits for no look: here none could come, as the
// follower's earshot is closed.
func TestWriterWaitsForNoLookWhereTheAnswerHasEnded(t *testing.T) {
	t.Parallel()
	bed, ear := newTestbed(t, itemSchema), &earshot{}
	s := bed.sidecar(lazy, ear.of)
	conn := s.connect()
	shown := s.warm(conn)
	bed.exec("UPDATE item SET version = version + 1 WHERE id = 7")
	if err := s.follower.Confirm(t.Context(), fence.Now()); err != nil {
		t.Fatal(err)
	}
	ear.close()
	defer ear.open()
	if _, err := conn.Exec(t.Context(), "UPDATE item SET version = 1 WHERE id = 8"); err != nil {
		t.Fatal(err)
	}
	misses := s.count(Miss)
	if got := versionOf7(t, conn); got != shown+1 {
		t.Errorf("version %d is read, want %d", got, shown+1)
	}
	if n := s.count(Miss) - misses; n != 1 {
		t.Errorf("%d misses, want 1; passed through: %v", n, s.Report().Bypasses)
	}
}

// unwoken is a follower that sessions cannot wake: it looks when it is asked to confirm.
type unwoken struct{ *invalidation.Follower }

func (unwoken) Wake() {}

// A session that has just written and asks for two answers at once has a look taken if the first
// is in memory, and none if it is not.
func TestWriterWaitsForNoLookWhereTheFirstAnswerIsNotInMemory(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema) // a look that a bell has rung for would spare the session its own
	var asked atomic.Int64                // looks
	s := bed.sidecar(lazy, func(c *engine.Options, _ *invalidation.FollowerOptions) {
		c.Wake = nil // as would one that a session has woken the follower for
		confirm := c.Confirm
		c.Confirm = func(ctx context.Context, at fence.Instant) error { asked.Add(1); return confirm(ctx, at) }
	})
	s.Server.follower = unwoken{s.follower}
	conn := s.connect()
	const read = "SELECT version FROM item WHERE id = $1"
	// both reads two items at once, the first by its id.
	both := func(first int) {
		t.Helper()
		b := &pgx.Batch{}
		b.Queue(read, first)
		b.Queue(read, first+1)
		results := conn.SendBatch(t.Context(), b)
		for range 2 {
			var version int
			if err := results.QueryRow().Scan(&version); err != nil {
				t.Fatal(err)
			}
		}
		if err := results.Close(); err != nil {
			t.Fatal(err)
		}
	}
	both(1)
	s.analysed(read)
	both(3)
	for _, c := range []struct {
		first  int
		misses uint64
		looks  bool
	}{{20, 2, false}, {20, 0, true}} {
		mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 8")
		misses, looks := s.count(Miss), asked.Load()
		both(c.first)
		if n := s.count(Miss) - misses; n != c.misses {
			t.Errorf("items %d and %d: %d misses, want %d; passed through: %v", c.first, c.first+1, n, c.misses, s.Report().Bypasses)
		}
		if n := asked.Load() - looks; n > 0 != c.looks {
			t.Errorf("items %d and %d: %d looks were asked for, want some: %v", c.first, c.first+1, n, c.looks)
		}
	}
}
