package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// cancel sends a cancel request with the client's key on a connection of its own, and returns when
// that connection was closed, as libpq does: the request was acted on then.
func (c *rawClient) cancel(dsn string) {
	c.t.Helper()
	request := binary.BigEndian.AppendUint32(uint32s(uint32(12+len(c.key)-4), protocol.CancelCode), binary.BigEndian.Uint32(c.key))
	request = append(request, c.key[4:]...)
	other := &rawClient{t: c.t, conn: dialOnly(c.t, dsn)}
	other.send(request)
	if got := other.rest(); len(got) > 0 {
		c.t.Errorf("a cancel request is answered with\n%s\nwant no answer", show(got))
	}
}

// reaches waits until the row of pg_stat_activity of the client's server process fulfils a
// condition, readsClient if empty.
func (c *rawClient) reaches(bed *testbed, condition string) {
	c.t.Helper()
	if condition == "" {
		condition = readsClient
	}
	servers.Eventually(c.t, "the server process to reach "+condition, func() bool { return c.is(bed, condition) })
}

// is reports whether the row of pg_stat_activity of the client's server process fulfils a condition.
func (c *rawClient) is(bed *testbed, condition string) bool {
	var there bool
	err := bed.direct.QueryRow(c.t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $1 AND "+condition,
		binary.BigEndian.Uint32(c.key)).Scan(&there)
	return err == nil && there
}

// readsClient is the condition that a server process waits for its client's next message.
const readsClient = "wait_event = 'ClientRead'"

// sessionStates are the states of a session that something may happen to from outside, as a
// cancel request or the loss of a connection: how the session gets into the state, how the test
// sees that it has, and how the session goes on.
var sessionStates = []struct {
	name string
	// enter is sent to get into the state, and the answer read up to a message of each kind in until.
	enter []byte
	until string
	// there is the condition on pg_stat_activity by which the state is seen, readsClient if empty.
	there string
	// after is what the client sends afterwards, empty if Postgres owes it an answer.
	after []byte
}{
	{name: "idle", enter: msgQuery(readItem3), until: "Z", after: msgQuery(readItem3)},
	{name: "behind a hit", enter: join(msgQuery(readItem3), msgQuery(readItem3), read("3"), msgSync), until: "ZZZ", after: join(read("3"), msgSync)},
	{name: "in a simple query", enter: msgQuery("SELECT pg_sleep(60)"), there: "wait_event = 'PgSleep'"},
	{name: "in an extended query", enter: join(msgParse("", "SELECT pg_sleep(60)"), msgBind(""), msgExecute("", 0), msgSync), there: "wait_event = 'PgSleep'"},
	{name: "in a pipeline", enter: join(read("3"), msgSync, msgParse("", "SELECT pg_sleep(60)"), msgBind(""), msgExecute("", 0), read("3"), msgSync), there: "wait_event = 'PgSleep'"},
	{name: "in a held transaction", enter: join(msgQuery("BEGIN"), msgQuery(readItem3)), until: "ZZ", after: msgQuery("SELECT 1 FROM item WHERE id = 2")},
	{name: "in an open transaction", enter: join(msgQuery("BEGIN"), msgQuery("LOCK TABLE scratch")), until: "ZZ", after: msgQuery(readItem3)},
	{name: "in a query of a transaction", enter: join(msgQuery("BEGIN"), msgQuery("SELECT pg_sleep(60)")), until: "Z", there: "wait_event = 'PgSleep'"},
	{name: "in a failed transaction", enter: join(msgQuery("BEGIN"), msgQuery("SELECT 1/0")), until: "ZZ", after: msgQuery("ROLLBACK")},
	{name: "in a group without its Sync", enter: join(read("3"), msgFlush), until: "C", after: msgSync},
	{name: "copying in", enter: msgQuery("COPY scratch FROM STDIN"), until: "G", after: join(msgCopyData("77\tx\n"), msgCopyDone)},
	{name: "copying in, extended", enter: join(msgParse("", "COPY scratch FROM STDIN"), msgBind(""), msgExecute("", 0), msgFlush), until: "G", after: join(msgCopyData("77\tx\n"), msgCopyDone, msgSync)},
	{name: "listening", enter: msgQuery("LISTEN news"), until: "Z", after: msgQuery("SELECT 1")},
	{name: "waiting for a lock", enter: msgQuery("UPDATE later SET id = 2"), there: "wait_event_type = 'Lock'"},
}

// bedForStates is a database in which sessions can get into each of sessionStates, since another
// connection keeps the row of later locked, and a sidecar that has answered a read.
func bedForStates(t *testing.T) (*testbed, *side) {
	t.Helper()
	bed := newTestbed(t, differentialSchema+"INSERT INTO later VALUES (1);")
	s := bed.sidecar()
	dialRaw(t, s.dsn()).ask(msgQuery(readItem3))
	lock := bed.connect(bed.postgres.DSN(bed.database))
	if _, err := lock.Exec(t.Context(), "BEGIN; UPDATE later SET id = 1"); err != nil {
		t.Fatal(err)
	}
	return bed, s
}

// In whichever state a cancel request finds a session, the client is sent the same bytes as by
// Postgres itself, also in answer to its next statements: the request ends what runs in Postgres,
// and nothing else.
func TestCase38CancelActsAsInPostgresInEveryState(t *testing.T) {
	t.Parallel()
	bed, s := bedForStates(t)
	for _, state := range sessionStates {
		t.Run(state.name, func(t *testing.T) {
			play := func(dsn string) (all []byte) {
				bed.exec("TRUNCATE scratch")
				c := dialRaw(t, dsn)
				defer c.conn.Close()
				c.send(state.enter)
				all = c.until(state.until)
				c.reaches(bed, state.there)
				c.cancel(dsn)
				if len(state.after) > 0 {
					c.send(state.after)
				}
				all = append(all, c.until("Z")...)
				for range 2 {
					all = append(all, c.ask(msgQuery("ROLLBACK"))...)
					all = append(all, c.ask(msgQuery(readItem3))...)
				}
				return all
			}
			want := play(bed.postgres.DSN(bed.database))
			if got := play(s.dsn()); !bytes.Equal(want, got) {
				t.Errorf("Postgres says\n%s\nthe sidecar says\n%s", show(want), show(got))
			}
		})
	}
}

// A cancel request that comes behind a hit does nothing: above all it does not cancel the
// client's next statement.
func TestCase38CancelOfAHitSparesTheNextQuery(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	c := dialRaw(t, s.dsn())
	want := dialRaw(t, s.bed.postgres.DSN(s.bed.database)).ask(msgQuery("SELECT pg_sleep(0.002), 'not cancelled'"))
	for range 50 {
		servers.Eventually(t, "a hit", func() bool {
			before := s.count(HitL1)
			c.ask(msgQuery(readItem3))
			return s.count(HitL1) > before
		})
		c.cancel(s.dsn())
		if got := c.ask(msgQuery("SELECT pg_sleep(0.002), 'not cancelled'")); !bytes.Equal(got, want) {
			t.Fatalf("the query behind a cancelled hit is answered with\n%s\nwant\n%s", show(got), show(want))
		}
	}
}

// statement_timeout ends a statement that runs too long in Postgres, and the session goes on.
func TestCase38StatementTimeoutEndsTheStatementAlone(t *testing.T) {
	compareCase(t, differential{name: "timeouts", hits: 2, steps: append(queries(
		readItem3, "SET statement_timeout = '20ms'", readItem3, "SELECT pg_sleep(20)", readItem3, "BEGIN", "SELECT pg_sleep(20)", readItem3, "ROLLBACK", "RESET statement_timeout", readItem3),
		synced(read("3"), msgParse("", "SELECT 1/0"), msgBind(""), msgExecute("", 0)), query(readItem3))})
}

// A client that waits for another client's load gets its answer though the other client closes its
// connection.
func TestCase38WaiterIsAnsweredThoughTheLoadingClientLeaves(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(withLargeEntries)
	slow, late := dialRaw(t, s.dsn()), s.connect()
	s.learn(versionSibling)
	slow.send(msgQuery(versionAtLength))
	slow.message() // the load is under way, and slow does not read the rest of the answer
	joined := make(chan error, 1)
	go func() {
		_, err := readVersion(late)
		joined <- err
	}()
	servers.Eventually(t, "the second client to wait for the load", func() bool { return s.waiting() == 1 })
	slow.conn.Close()
	if err := <-joined; err != nil {
		t.Errorf("the client that waited got %v, want its answer", err)
	}
}
