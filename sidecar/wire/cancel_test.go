package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// cancel sends a cancel request with the client's key and returns when it was acted
// on, as libpq does.
func (c *rawClient) cancel(dsn string) {
	c.t.Helper()
	request := binary.BigEndian.AppendUint32(uint32s(uint32(12+len(c.key)-4), protocol.CancelCode), binary.BigEndian.Uint32(c.key))
	request = append(request, c.key[4:]...)
	other := &rawClient{t: c.t, conn: dialOnly(c.t, dsn)}
	other.send(request)
	if got := other.rest(); len(got) > 0 {
		c.t.Errorf("a cancel request is answered with\n%s", show(got))
	}
}

// reaches waits until the session's server process is seen in a state.
func (c *rawClient) reaches(bed *testbed, condition string) {
	c.t.Helper()
	if condition == "" {
		condition = readsClient
	}
	servers.Eventually(c.t, "the server process to get there", func() bool { return c.is(bed, condition) })
}

// is reports whether the session's server process is in a state.
func (c *rawClient) is(bed *testbed, condition string) bool {
	var there bool
	err := bed.direct.QueryRow(c.t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $1 AND "+condition,
		binary.BigEndian.Uint32(c.key)).Scan(&there)
	return err == nil && there
}

// readsClient: the server process waits for its client.
const readsClient = "wait_event = 'ClientRead'"

// sessionStates are what a session may be in when something happens to it from
// outside: how it gets there, how that is seen, and how it goes on.
var sessionStates = []struct {
	name  string
	enter []byte
	until string // what comes back before
	// there is a condition on pg_stat_activity, readsClient if empty.
	there string
	after []byte // what the client sends afterwards; empty if an answer is due
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

// bedForStates is a database in which sessions can get into each of sessionStates,
// and a sidecar that has answered a read.
func bedForStates(t *testing.T) (*testbed, *side) {
	t.Helper()
	bed := newTestbed(t, casesSchema+"INSERT INTO later VALUES (1);")
	s := bed.sidecar()
	dialRaw(t, s.dsn()).ask(msgQuery(readItem3))
	lock := bed.connect(bed.postgres.DSN(bed.database))
	if _, err := lock.Exec(t.Context(), "BEGIN; UPDATE later SET id = 1"); err != nil {
		t.Fatal(err)
	}
	return bed, s
}

// The right key cancels what runs in Postgres in every state, with Postgres' own
// words, and nothing else: afterwards the session goes on as it does directly.
func TestCase38CancelInEveryState(t *testing.T) {
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

// A request to cancel what was answered from memory does nothing, above all not to
// what comes next.
func TestCase38CancelOfAHitSparesTheNextQuery(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, casesSchema)
	s := bed.sidecar()
	c := dialRaw(t, s.dsn())
	servers.Eventually(t, "a hit", func() bool {
		before := s.count(HitL1)
		c.ask(msgQuery(readItem3))
		return s.count(HitL1) > before
	})
	want := dialRaw(t, bed.postgres.DSN(bed.database)).ask(msgQuery("SELECT pg_sleep(0.002), 'not cancelled'"))
	for range 50 {
		c.ask(msgQuery(readItem3))
		c.cancel(s.dsn())
		if got := c.ask(msgQuery("SELECT pg_sleep(0.002), 'not cancelled'")); !bytes.Equal(got, want) {
			t.Fatalf("the next query ended with\n%s", show(got))
		}
	}
}

// statement_timeout ends what runs too long in Postgres, and the session goes on.
func TestCase38StatementTimeout(t *testing.T) {
	compareCase(t, differential{name: "timeouts", hits: 2, steps: append(queries(
		readItem3, "SET statement_timeout = '20ms'", readItem3, "SELECT pg_sleep(20)", readItem3, "BEGIN", "SELECT pg_sleep(20)", readItem3, "ROLLBACK", "RESET statement_timeout", readItem3),
		synced(read("3"), msgParse("", "SELECT 1/0"), msgBind(""), msgExecute("", 0)), query(readItem3))})
}

// Whoever waits for the load of a client that leaves gets its answer all the same.
func TestCase38ClientLeavesDuringItsLoad(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(withLargeEntries)
	slow, late := dialRaw(t, s.dsn()), s.connect()
	s.learn(versionSibling)
	slow.send(msgQuery(versionAtLength))
	slow.message() // the load is under way, and the rest of it is not read
	joined := make(chan error, 1)
	go func() {
		_, err := readVersion(late)
		joined <- err
	}()
	servers.Eventually(t, "the second client to wait for the load", func() bool { return s.waiting() == 1 })
	slow.conn.Close()
	if err := <-joined; err != nil {
		t.Errorf("the client that waited got %v", err)
	}
}
