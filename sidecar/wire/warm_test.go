package wire

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
)

// newWarmBed makes a testbed with a sidecar that loads again each entry that was read twice and that a
// change has ended, however late a busy machine lets a session be idle. Such a load, which no client has
// asked for, is called a warming load.
func newWarmBed(t *testing.T, schema string, options ...sideOption) (*testbed, *side) {
	t.Helper()
	b := newTestbed(t, schema)
	b.warmFrom, b.warmIdleWait = 1, servers.EventuallyMax
	return b, b.sidecar(append(options, patient)...)
}

// hitTwice has a client read until two reads in a row were hits: then the entry is watched, to be loaded
// again.
func (s *side) hitTwice(c *rawClient, ask []byte) {
	s.bed.t.Helper()
	run := 0
	servers.Eventually(s.bed.t, "two hits in a row", func() bool {
		before := s.count(HitL1)
		c.ask(ask)
		run++
		if s.count(HitL1) == before {
			run = 0
		}
		return run == 2
	})
}

// awaitWarmed waits until n warming loads have ended in all and no load is under way.
func (s *side) awaitWarmed(n uint64) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, fmt.Sprintf("warming load %d to end", n), func() bool {
		return s.Report().Warmed >= n && s.cache.Loading() == 0
	})
	if got := s.Report().Warmed; got != n {
		s.bed.t.Fatalf("there were %d warming loads, want %d", got, n)
	}
}

// watches returns how many entries are watched, to be loaded again when a change ends them.
func (s *side) watches() int {
	s.warmer.mu.Lock()
	defer s.warmer.mu.Unlock()
	return len(s.warmer.watched)
}

// An entry was read twice, and a change has ended it. It is loaded again, so that the next read is a
// hit, with the answer of Postgres. This holds for each form of an answer.
func TestEntryReadTwiceIsLoadedAgainBehindAChange(t *testing.T) {
	t.Parallel()
	b, s := newWarmBed(t, itemSchema)
	const all = "SELECT name, version FROM item WHERE id < $1 ORDER BY id"
	n := uint64(0)
	for _, form := range []struct {
		name         string
		prepare, ask []byte
	}{
		{name: "a Query", ask: msgQuery("SELECT name, version FROM item WHERE id = 3")},
		{name: "a described portal", ask: join(read("3"), msgSync)},
		{name: "rows alone", ask: join(msgParse("", all), msgBind("", "5"), msgExecute("", 0), msgSync)},
		{name: "rows of a described statement", prepare: join(msgParse("p", all), msgDescribe('S', "p"), msgSync), ask: join(msgBind("p", "5"), msgExecute("", 0), msgSync)},
		{name: "rows up to a limit", prepare: join(msgParse("p", all), msgDescribe('S', "p"), msgSync), ask: join(msgBind("p", "5"), msgExecute("", 2), msgSync)},
		{name: "a statement's description and rows", ask: join(msgParse("", all), msgDescribe('S', ""), msgBind("", "5"), msgExecute("", 0), msgSync)},
	} {
		t.Run(form.name, func(t *testing.T) {
			c, direct := dialRaw(t, s.dsn()), dialRaw(t, b.postgres.DSN(b.database))
			defer c.conn.Close()
			if form.prepare != nil {
				c.ask(form.prepare)
				direct.ask(form.prepare)
			}
			for range 3 {
				s.hitTwice(c, form.ask)
				before := s.Report()
				b.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				s.received()
				n++
				s.awaitWarmed(n)
				if got, want := c.ask(form.ask), direct.ask(form.ask); !bytes.Equal(got, want) {
					t.Errorf("the sidecar says\n%s\nPostgres says\n%s", show(got), show(want))
				}
				after := s.Report()
				if after.Queries[HitL1.String()] == before.Queries[HitL1.String()] || after.Queries[Miss.String()] != before.Queries[Miss.String()] || after.WarmedRead != n {
					t.Errorf("behind warming load %d the read was no hit, or %d such loads were read, want %d: %s", n, after.WarmedRead, n, s.became())
				}
			}
			left := msgQuery("SELECT name FROM pg_prepared_statements")
			if got, want := c.ask(left), direct.ask(left); !bytes.Equal(got, want) {
				t.Errorf("the session has the prepared statements\n%s\nwant\n%s", show(got), show(want))
			}
		})
	}
}

// An entry that is read once for each change is not loaded again: the next change would end it before
// another read.
func TestEntryReadOncePerChangeIsNotLoadedAgain(t *testing.T) {
	t.Parallel()
	b, s := newWarmBed(t, itemSchema)
	c, ask := dialRaw(t, s.dsn()), join(read("3"), msgSync)
	s.hitTwice(c, ask)
	for range 10 { // the first read finds the one warming load, the others are misses
		b.exec("UPDATE item SET version = version + 1 WHERE id = 3")
		s.received()
		s.awaitWarmed(1)
		c.ask(ask)
		if n := s.watches(); n != 0 {
			t.Fatalf("%d entries are watched that were read once, want none", n)
		}
	}
}

// A session that is idle in another state than that of an entry's key is not used to load the entry
// again. Nor is one in a transaction, or one that idle_session_timeout would end.
func TestSessionInAnotherStateIsNotUsedForWarming(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, itemSchema+"CREATE SCHEMA elsewhere")
	b.warmFrom = 1
	s := b.sidecar(patient)
	c, ask := dialRaw(t, s.dsn()), join(read("3"), msgSync)
	for _, set := range []string{"SET search_path = elsewhere, public", "SET DateStyle = 'German'", "SET idle_session_timeout = '1h'", "BEGIN"} {
		other := dialRaw(t, s.dsn())
		other.ask(msgQuery(set))
		other.ask(msgQuery("SELECT version FROM item WHERE id = 4"))
	}
	s.hitTwice(c, ask)
	c.conn.Close()
	c.awaitGone(b)
	b.exec("UPDATE item SET version = version + 1 WHERE id = 3")
	servers.Eventually(t, "the warming load to be given up", func() bool { return s.Report().WarmRefused == 1 })
	s.awaitWarmed(0)
}

// awaitGone waits until the client's server process has ended.
func (c *rawClient) awaitGone(bed *testbed) {
	c.t.Helper()
	servers.Eventually(c.t, "the server process to end", func() bool {
		var n int
		return bed.direct.QueryRow(c.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", c.pid()).Scan(&n) == nil && n == 0
	})
}

// gated is a testbed with a warming load that a lock keeps from ending.
type gated struct {
	*testbed
	side   *side
	locker *pgx.Conn
	// reader is the client on whose connection the load runs.
	reader *rawClient
	// before is how many warming loads had ended when begin began the last one.
	before uint64
}

const (
	gateSchema = itemSchema + "CREATE TABLE gate (id int PRIMARY KEY); INSERT INTO gate VALUES (1); CREATE TABLE scratch (id int)"
	gatedRead  = "SELECT i.version FROM item i, gate g WHERE i.id = 3 AND g.id = 1"
	waitsLock  = "wait_event_type = 'Lock'"
)

var gatedAsk = msgQuery(gatedRead)

// newGated makes a gated. Its clients wait for a warming load for patience at least before it is
// cancelled, or for the product's own minimum if patience is 0.
func newGated(t *testing.T, patience time.Duration) *gated {
	t.Helper()
	b := newTestbed(t, gateSchema)
	b.warmFrom, b.warmPatience, b.warmIdleWait = 1, patience, servers.EventuallyMax
	g := &gated{testbed: b, side: b.sidecar(patient)}
	g.locker = b.connect(b.postgres.DSN(b.database))
	g.reader = dialRaw(t, g.side.dsn())
	return g
}

// begin has a warming load begin and wait for the lock. If something else has ended the entry before
// the lock was taken, the load did not wait for it, and begin tries again.
func (g *gated) begin() {
	g.t.Helper()
	m := g.side.warmer
	for waits := false; !waits; {
		g.side.received()
		g.side.hitTwice(g.reader, gatedAsk)
		servers.Eventually(g.t, "no warming load to be under way", func() bool { return len(m.places) == 0 })
		g.before = g.side.Report().Warmed
		mustExec(g.t, g.locker, "BEGIN; LOCK TABLE gate")
		g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
		g.side.received()
		servers.Eventually(g.t, "a warming load to wait for the lock, or to be over", func() bool {
			waits = g.reader.is(g.testbed, waitsLock)
			return waits || g.side.watches() == 0 && len(m.places) == 0
		})
		if !waits {
			g.open()
		}
	}
}

// awaitWarmed waits until the load of begin has ended, and no other one has.
func (g *gated) awaitWarmed() {
	g.t.Helper()
	g.side.awaitWarmed(g.before + 1)
}

// open releases the lock.
func (g *gated) open() { mustExec(g.t, g.locker, "COMMIT") }

// The interleaving described in warming.go: a client sends something while a warming load runs on its
// connection. The load is cancelled, and the client is answered as by Postgres.
func TestWarmingGivesWayToTheClient(t *testing.T) {
	t.Parallel()
	g := newGated(t, 0)
	direct := dialRaw(t, g.postgres.DSN(g.database))
	for _, next := range [][]byte{
		msgQuery("SELECT name FROM item WHERE id = 4"),
		join(read("4"), msgSync),
		msgQuery("UPDATE item SET version = 100 WHERE id = 5 RETURNING version"),
		msgQuery("INSERT INTO scratch VALUES (1)"),
		msgQuery("SET DateStyle = 'ISO'"),
		join(msgBind(""), msgExecute("", 0), msgSync), // fails: the client has no unnamed statement
		join(msgParse("", "SELECT $1::int"), msgSync),
		join(msgBind("", "7"), msgExecute("", 0), msgSync),
		msgQuery("SELECT 1/0"),
		msgQuery("BEGIN; SELECT name FROM item WHERE id = 6; COMMIT"),
	} {
		g.begin()
		want := direct.ask(next)
		if got := g.reader.ask(next); !bytes.Equal(got, want) {
			t.Errorf("the sidecar says\n%s\nPostgres says\n%s", show(got), show(want))
		}
		g.open()
		if got, want := g.reader.ask(gatedAsk), direct.ask(gatedAsk); !bytes.Equal(got, want) {
			t.Errorf("behind %s the sidecar says\n%s\nPostgres says\n%s", show(next), show(got), show(want))
		}
	}
}

// The interleaving described in warming.go: while a warming load runs on its connection, a client asks
// to cancel. If the client has sent nothing, the load goes on; if it has sent a statement, which waits
// for the load, the statement is cancelled.
func TestCancelWhileWarmingEndsTheClientsStatementAlone(t *testing.T) {
	t.Parallel()
	g := newGated(t, time.Hour)
	g.begin()
	g.reader.cancel(g.side.dsn())
	g.reader.reaches(g.testbed, waitsLock)
	g.open()
	g.awaitWarmed()
	hits := g.side.count(HitL1)
	g.reader.ask(gatedAsk)
	if g.side.count(HitL1) != hits+1 {
		t.Errorf("no hit on the load that ran on an idle client's connection: %s", g.side.became())
	}
	for _, sent := range [][]byte{msgQuery("SELECT pg_sleep(60)"), join(msgParse("", "SELECT pg_sleep(60)"), msgBind(""), msgExecute("", 0), msgSync), gatedAsk} {
		g.begin()
		g.reader.send(sent)
		g.side.awaitWaiting(g.reader)
		g.reader.cancel(g.side.dsn())
		if got := g.reader.until("Z"); !bytes.Contains(got, []byte("57014")) {
			t.Errorf("the cancelled %s is answered with\n%s\nwant the error 57014", show(sent), show(got))
		}
		g.open()
	}
	if got := g.reader.ask(msgQuery("SELECT pg_sleep(0.002)")); bytes.Contains(got, []byte("57014")) {
		t.Errorf("the next statement is answered with\n%s\nwant no error 57014", show(got))
	}
}

// awaitWaiting waits until a statement of the client waits for the warming load on its connection.
func (s *side) awaitWaiting(c *rawClient) {
	s.bed.t.Helper()
	waiting := s.sessionOf(c)
	servers.Eventually(s.bed.t, "the client's statement to wait for the warming load", func() bool {
		waiting.cancels.mu.Lock()
		defer waiting.cancels.mu.Unlock()
		return waiting.cancels.awaited
	})
}

// The interleaving described in warming.go: a change overtakes a warming load, before Postgres reads
// the row or behind. The answer is not served, whether it shows the change or not, and is not loaded
// again.
func TestAnswerOvertakenWhileWarmingIsNotServed(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"before Postgres reads": true, "after Postgres has read": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, time.Hour)
			direct := dialRaw(t, g.postgres.DSN(g.database))
			if before {
				g.begin()
				g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				g.side.received()
				g.open()
			} else {
				g.side.hitTwice(g.reader, gatedAsk)
				var now string
				if err := g.direct.QueryRow(t.Context(), "SELECT clock_timestamp()::text").Scan(&now); err != nil {
					t.Fatal(err)
				}
				session := g.side.sessionOf(g.reader)
				session.writeMu.Lock() // the session cannot read what Postgres sends
				g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				g.reader.reaches(g.testbed, "state = 'idle' AND query_start > '"+now+"' AND query LIKE 'SELECT i.version%'")
				g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				g.side.received()
				session.writeMu.Unlock()
			}
			g.awaitWarmed()
			misses := g.side.count(Miss)
			if got, want := g.reader.ask(gatedAsk), direct.ask(gatedAsk); !bytes.Equal(got, want) {
				t.Errorf("the sidecar says\n%s\nPostgres says\n%s", show(got), show(want))
			}
			if g.side.count(Miss) != misses+1 || g.side.watches() != 0 {
				t.Errorf("%d misses, want 1; %d entries are watched, want none; so far: %s", g.side.count(Miss)-misses, g.side.watches(), g.side.became())
			}
			g.awaitWarmed()
		})
	}
}

// The interleaving described in warming.go: the client leaves while a warming load runs on its
// connection. The load ends, and another client that waited for it loads the answer itself.
func TestWarmingEndsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*rawClient){
		"the client closes the connection": func(c *rawClient) { c.conn.Close() },
		"the client sends Terminate":       func(c *rawClient) { c.send(msgTerminate) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, 0)
			g.begin()
			other := dialRaw(t, g.side.dsn())
			other.send(gatedAsk)
			servers.Eventually(t, "the second client to wait for the load", func() bool { return g.side.waiting() == 1 })
			leave(g.reader)
			g.reader.awaitGone(g.testbed)
			other.reaches(g.testbed, waitsLock)
			want := dialRaw(t, g.postgres.DSN(g.database))
			g.open()
			if got, want := other.until("Z"), want.ask(gatedAsk); !bytes.Equal(got, want) {
				t.Errorf("the client that waited gets\n%s\nPostgres says\n%s", show(got), show(want))
			}
		})
	}
}

// A client that asks for an answer which a warming load is bringing waits for that load, and makes none
// of its own.
func TestReaderSharesAWarmingLoad(t *testing.T) {
	t.Parallel()
	g := newGated(t, time.Hour)
	g.begin()
	other := dialRaw(t, g.side.dsn())
	misses := g.side.count(Miss)
	other.send(gatedAsk)
	servers.Eventually(t, "the second client to wait for the load", func() bool { return g.side.waiting() == 1 })
	g.open()
	if got, want := other.until("Z"), dialRaw(t, g.postgres.DSN(g.database)).ask(gatedAsk); !bytes.Equal(got, want) {
		t.Errorf("the client that waited gets\n%s\nPostgres says\n%s", show(got), show(want))
	}
	if r := g.side.Report(); g.side.count(Miss) != misses || r.WarmedRead != 1 {
		t.Errorf("%d misses, want none; %d warming loads were read, want 1; so far: %s", g.side.count(Miss)-misses, r.WarmedRead, g.side.became())
	}
}

// A warming load ends with an error of Postgres. No client is shown the error, and no prepared statement
// of the load is left in the session.
func TestErrorOfAWarmingLoadShowsNowhere(t *testing.T) {
	t.Parallel()
	b, s := newWarmBed(t, itemSchema)
	c, direct := dialRaw(t, s.dsn()), dialRaw(t, b.postgres.DSN(b.database))
	ask := join(msgParse("", "SELECT 10 / version AS share FROM item WHERE id = $1"), msgBind("", "3"), msgDescribe('P', ""), msgExecute("", 0), msgSync)
	b.exec("UPDATE item SET version = 1 WHERE id = 3")
	s.hitTwice(c, ask)
	b.exec("UPDATE item SET version = 0 WHERE id = 3")
	s.received()
	s.awaitWarmed(1)
	bindUnnamed := join(msgBind("", "3"), msgExecute("", 0), msgSync)
	direct.ask(ask)
	for _, next := range [][]byte{bindUnnamed, ask, bindUnnamed, msgQuery("SELECT name FROM pg_prepared_statements"), bindUnnamed} {
		if got, want := c.ask(next), direct.ask(next); !bytes.Equal(got, want) {
			t.Errorf("%s\nthe sidecar says\n%s\nPostgres says\n%s", show(next), show(got), show(want))
		}
	}
}

// A fault of the sidecar's own in a warming load ends the session on whose connection the load runs, and
// no other session.
func TestFaultWhileWarmingEndsOneSession(t *testing.T) {
	t.Parallel()
	_, s := newWarmBed(t, itemSchema)
	s.panics = 1
	c, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
	c.ask(msgQuery(readItem3))
	session := s.sessionOf(c)
	session.turn.Lock()
	malformed := &wish{state: session.state().ID} // has no key, so that the load panics
	session.turn.Unlock()
	servers.Eventually(t, "the warming load to begin", func() bool { return session.beginWarming(malformed, answer.NewCapture()) != nil })
	if got := c.rest(); !bytes.Contains(got, []byte("XX000")) {
		t.Errorf("the client of the session gets\n%s\nwant the error XX000", show(got))
	}
	if got := other.ask(msgQuery(readItem3)); !bytes.Contains(got, []byte("item 3")) {
		t.Errorf("another client gets\n%s\nwant item 3", show(got))
	}
}

// At most warmWatched entries are watched: those whose loads took longest.
func TestWatchedEntriesAreBounded(t *testing.T) {
	t.Parallel()
	m := newWarmer(&Server{}, 1)
	for n := range uint64(3 * warmWatched) {
		m.watch(&wish{hash: n + 1, took: time.Duration(n + 1)})
	}
	if len(m.watched) != warmWatched || m.server.counters.WarmRefused.Load() != 2*warmWatched || m.watched[3*warmWatched] == nil {
		t.Errorf("%d entries are watched, want %d; %d were refused, want %d; the one whose load took longest is watched: %v, want true",
			len(m.watched), warmWatched, m.server.counters.WarmRefused.Load(), 2*warmWatched, m.watched[3*warmWatched] != nil)
	}
	m.watch(&wish{hash: 1 << 20, took: 0})
	if m.watched[1<<20] != nil {
		t.Error("an entry whose load took no time is watched in place of one whose load took longer")
	}
}

// No warming load begins while warmAtOnce of them are under way, or while warmCrowd loads of clients
// are.
func TestWarmingLoadsAreBounded(t *testing.T) {
	t.Parallel()
	store := newStore(t, fence.New(fewSlots))
	m := newWarmer(&Server{database: database{cache: store}}, 1)
	for range warmAtOnce {
		if !m.begins(&wish{}) {
			t.Fatalf("a warming load does not begin, want %d at once", warmAtOnce)
		}
	}
	if m.begins(&wish{}) {
		t.Errorf("a warming load begins while %d are under way, want none", warmAtOnce)
	}
	<-m.places
	for n := range warmCrowd {
		defer store.Join(fmt.Append(nil, n)).Finish(nil)
	}
	if m.begins(&wish{}) {
		t.Errorf("a warming load begins while %d loads of clients are under way, want none", warmCrowd)
	}
}
