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

func msgComplete(tag string) []byte { return protocol.AppendMessage(nil, 'C', []byte(tag+"\x00")) }

// The fence knows before the client does. Each case is an interleaving that mark.go
// tells of, in which the bytes of answer are what reaches the client first.
func TestWriteIsMarkedBeforeItsAcknowledgement(t *testing.T) {
	t.Parallel()
	unproven, sync := conversation.Expectation{Kind: conversation.Query}, conversation.Expectation{Kind: conversation.Sync}
	failed := protocol.ErrorResponse("ERROR", "P0001", "after a commit", "")
	cases := map[string]struct {
		due    []conversation.Expectation
		answer []byte
	}{
		"1, COMMIT in a pipeline":         {[]conversation.Expectation{{Kind: conversation.Execute}, sync}, msgComplete("COMMIT")},
		"1, and its Sync not sent":        {[]conversation.Expectation{{Kind: conversation.Execute}}, msgComplete("COMMIT")},
		"2, before the ReadyForQuery":     {[]conversation.Expectation{unproven}, msgComplete("UPDATE 1")},
		"3, a CALL that fails":            {[]conversation.Expectation{{Kind: conversation.Execute}, sync}, failed},
		"3, a simple one":                 {[]conversation.Expectation{unproven}, failed},
		"3, a notice":                     {[]conversation.Expectation{unproven}, protocol.AppendMessage(nil, 'N', []byte("SNOTICE\x00\x00"))},
		"a portal that is left suspended": {[]conversation.Expectation{{Kind: conversation.Execute}, sync}, protocol.AppendMessage(nil, 's')},
		"an empty query":                  {[]conversation.Expectation{unproven}, protocol.AppendMessage(nil, 'I')},
		"a function call":                 {[]conversation.Expectation{unproven}, join(protocol.AppendMessage(nil, 'V', make([]byte, 4)), []byte(protocol.ReadyIdle))},
		"nobody knows what it answers":    {[]conversation.Expectation{unproven}, protocol.AppendMessage(nil, '~')},
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
			t.Errorf("%s: the client is told, and the fence was not", name)
		}
	}
}

// Interleaving 4 and 5 of mark.go: what was written is marked again whenever it may
// have been committed, until Postgres is idle.
func TestWriteIsMarkedUntilPostgresIsIdle(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	marks := func(what string, answer []byte, want bool) {
		t.Helper()
		before := fence.Now()
		s.receive(t, answer)
		if got := s.server.fence.Marked(nil) >= before; got != want {
			t.Errorf("%s: marked is %v, want %v", what, got, want)
		}
	}
	begun := protocol.AppendMessage(nil, 'Z', []byte{protocol.StatusInBlock})
	s.talk.Owe(conversation.Expectation{Kind: conversation.Execute})
	s.talk.Owe(conversation.Expectation{Kind: conversation.Sync})
	marks("UPDATE", msgComplete("UPDATE 1"), true)
	marks("the Sync that may commit it", begun, true)
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Effect: shapes.NoEffect})
	marks("COMMIT", msgComplete("COMMIT"), true)
	marks("the end", []byte(protocol.ReadyIdle), true)
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Harmless: true})
	marks("a read behind it", join(msgComplete("SELECT 1"), []byte(protocol.ReadyIdle)), false)
}

// Interleaving 6 of mark.go.
func TestLostPostgresIsMarked(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.markLost()
	if s.server.fence.Marked(nil) != 0 {
		t.Error("an idle session's end is marked")
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query})
	s.markLost()
	if s.server.fence.Marked(nil) == 0 {
		t.Error("a statement was under way, and nothing is marked")
	}
}

// What one connection has written, every other of the same sidecar reads at once,
// though the staleness bound is an hour and nobody looks unasked.
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
		"simple":   func(v int) { do(writer, update(v)) },
		"prepared": func(v int) { mustExec(t, writer, "UPDATE item SET version = $1 WHERE id = 7", v) },
		"a transaction": func(v int) {
			do(writer, "BEGIN")
			versionOf7(t, writer)
			do(writer, update(v))
			do(writer, "COMMIT")
		},
		"several statements": func(v int) { do(writer, update(v)+"; SELECT 1") },
		"COMMIT behind a failure": func(v int) {
			do(writer, "BEGIN; "+update(v)+"; SAVEPOINT a")
			if _, err := writer.Exec(t.Context(), "SELECT 1/0"); err == nil {
				t.Fatal("no error")
			}
			do(writer, "ROLLBACK TO a; COMMIT")
		},
		"a CALL that fails": func(v int) {
			if _, err := writer.Exec(t.Context(), fmt.Sprintf("CALL commit_and_fail(%d)", v), pgx.QueryExecModeSimpleProtocol); err == nil {
				t.Fatal("no error")
			}
		},
		"prepared and committed by another": func(v int) {
			do(writer, "BEGIN; "+update(v)+"; PREPARE TRANSACTION 'moved'")
			versionOf7(t, reader) // its mark is looked past
			do(other, "COMMIT PREPARED 'moved'")
		},
		"COPY": func(v int) {
			do(writer, "BEGIN; DELETE FROM item WHERE id = 7")
			tag, err := writer.PgConn().CopyFrom(t.Context(), strings.NewReader(fmt.Sprintf("7\tseven\t%d\n", v)), "COPY item (id, name, version) FROM STDIN")
			if err != nil || tag.RowsAffected() != 1 {
				t.Fatal(tag, err)
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
			t.Errorf("%s: another connection reads version %d, and %d is committed and acknowledged", name, got, version)
		}
		if name == "a pipeline of which the Sync is to come" {
			raw.ask(msgSync)
		}
	}
}

// A lock outside of Postgres around reading on one connection and writing on
// another loses no update, in transactions that are held back either.
func TestLockOutsideOfPostgresLosesNoUpdate(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	type client struct{ reads, writes *pgx.Conn }
	clients := []client{{s.connect(), s.connect()}, {s.connect(), s.connect()}}
	s.warm(clients[0].reads)
	const turns = 20
	for i := range turns { // the lock: one after the other
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
		t.Errorf("%d of %d updates are lost", turns-got, turns)
	}
}

// Bounded sessions ask for less: they are shown what is within their bound.
func TestBoundedSessionsWaitForNoWrite(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	writer, reader := s.connect(), s.connect()
	mustExec(t, reader, "SET freshet.consistency = 'bounded'")
	s.warm(reader)
	mustExec(t, writer, "UPDATE item SET version = 1 WHERE id = 7")
	if got := versionOf7(t, reader); got != 0 {
		t.Errorf("version %d: nobody asked for a look", got)
	}
}

// Who has just written waits for a look before a hit, and not before a load: of what is known
// to have ended, no look is asked for.
func TestWriterWaitsForNoLookAtWhatHasEnded(t *testing.T) {
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
		t.Errorf("%d misses, want 1: a look that cannot come was waited for, %v", n, s.Report().Bypasses)
	}
}

// Who has just written and asks for several answers at once waits for a look if the first
// may be in memory, and for none if it is not.
func TestWriterWaitsForNoLookAtSeveralThatAreNowhere(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	var asked atomic.Int64
	s := bed.sidecar(lazy, func(c *engine.Options, _ *invalidation.FollowerOptions) {
		confirm := c.Confirm
		c.Confirm = func(ctx context.Context, at fence.Instant) error { asked.Add(1); return confirm(ctx, at) }
	})
	conn := s.connect()
	const read = "SELECT version FROM item WHERE id = $1"
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
		before := fence.Now()
		mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 8")
		misses, looks := s.count(Miss), asked.Load()
		both(c.first)
		if n := s.count(Miss) - misses; n != c.misses {
			t.Errorf("%d misses, want %d, %v", n, c.misses, s.Report().Bypasses)
		}
		n, looked := asked.Load()-looks, s.fence.LookBegan() > before // one that the write has rung for may do
		if n > 0 && !c.looks || n == 0 && c.looks && !looked {
			t.Errorf("%d looks were asked for; some, %v", n, c.looks)
		}
	}
}
