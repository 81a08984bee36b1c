package wire

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
)

// newWarmBed is a bed whose sidecar loads again whatever was read twice, however late a busy
// machine lets a session be idle.
func newWarmBed(t *testing.T, schema string, options ...sideOption) (*testbed, *side) {
	t.Helper()
	b := newTestbed(t, schema)
	b.warmFrom, b.warmIdleWait = 1, servers.EventuallyMax
	return b, b.sidecar(append(options, patient)...)
}

// heat has a client read until the answer was read from memory twice since it was loaded.
func (s *side) heat(c *rawClient, ask []byte) {
	s.bed.t.Helper()
	run := 0
	servers.Eventually(s.bed.t, "two hits", func() bool {
		before := s.count(HitL1)
		c.ask(ask)
		run++
		if s.count(HitL1) == before {
			run = 0
		}
		return run == 2
	})
}

// warms waits until so many loads that nobody asked for have ended, and there are no more.
func (s *side) warms(n uint64) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, fmt.Sprintf("load %d that nobody asked for", n), func() bool {
		return s.Report().Warmed >= n && s.cache.Loading() == 0
	})
	if got := s.Report().Warmed; got != n {
		s.bed.t.Fatalf("%d loads that nobody asked for, want %d", got, n)
	}
}

// watches counts the answers that are watched.
func (s *side) watches() int {
	s.warmer.mu.Lock()
	defer s.warmer.mu.Unlock()
	return len(s.warmer.watched)
}

// What was read twice and ended by a change is there again when it is asked for next, whatever the
// form of the answer, and is what Postgres says.
func TestWhatIsReadOftenIsLoadedAgain(t *testing.T) {
	t.Parallel()
	b, s := newWarmBed(t, itemSchema)
	const all = "SELECT name, version FROM item WHERE id < $1 ORDER BY id"
	n := uint64(0)
	for _, form := range []struct {
		name         string
		prepare, ask []byte
	}{
		{name: "a query", ask: msgQuery("SELECT name, version FROM item WHERE id = 3")},
		{name: "a described portal", ask: join(read("3"), msgSync)},
		{name: "rows alone", ask: join(msgParse("", all), msgBind("", "5"), msgExecute("", 0), msgSync)},
		{name: "rows that were told", prepare: join(msgParse("p", all), msgDescribe('S', "p"), msgSync), ask: join(msgBind("p", "5"), msgExecute("", 0), msgSync)},
		{name: "the first rows", prepare: join(msgParse("p", all), msgDescribe('S', "p"), msgSync), ask: join(msgBind("p", "5"), msgExecute("", 2), msgSync)},
		{name: "with a statement's description", ask: join(msgParse("", all), msgDescribe('S', ""), msgBind("", "5"), msgExecute("", 0), msgSync)},
	} {
		t.Run(form.name, func(t *testing.T) {
			c, direct := dialRaw(t, s.dsn()), dialRaw(t, b.postgres.DSN(b.database))
			defer c.conn.Close()
			if form.prepare != nil {
				c.ask(form.prepare)
				direct.ask(form.prepare)
			}
			for range 3 {
				s.heat(c, form.ask)
				before := s.Report()
				b.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				s.received()
				n++
				s.warms(n)
				if got, want := c.ask(form.ask), direct.ask(form.ask); !bytes.Equal(got, want) {
					t.Errorf("the sidecar says\n%s\nPostgres says\n%s", show(got), show(want))
				}
				after := s.Report()
				if after.Queries[HitL1.String()] == before.Queries[HitL1.String()] || after.Queries[Miss.String()] != before.Queries[Miss.String()] || after.WarmedRead != n {
					t.Errorf("no hit behind load %d: %s", n, s.became())
				}
			}
			left := msgQuery("SELECT name FROM pg_prepared_statements")
			if got, want := c.ask(left), direct.ask(left); !bytes.Equal(got, want) {
				t.Errorf("left behind:\n%s\nwant\n%s", show(got), show(want))
			}
		})
	}
}

// What is read once for each write is not loaded for nobody.
func TestWhatIsReadOnceForEachWriteIsLeftAlone(t *testing.T) {
	t.Parallel()
	b, s := newWarmBed(t, itemSchema)
	c, ask := dialRaw(t, s.dsn()), join(read("3"), msgSync)
	s.heat(c, ask)
	for range 10 { // the first finds what was loaded for it, the others load
		b.exec("UPDATE item SET version = version + 1 WHERE id = 3")
		s.received()
		s.warms(1)
		c.ask(ask)
		if n := s.watches(); n != 0 {
			t.Fatalf("%d answers are watched that were read once", n)
		}
	}
}

// Who is idle in another state, as another role or with other settings, is not asked.
func TestOthersSessionsLoadNothing(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, casesSchema)
	b.warmFrom = 1
	s := b.sidecar(patient)
	c, ask := dialRaw(t, s.dsn()), join(read("3"), msgSync)
	for _, set := range []string{"SET search_path = elsewhere, public", "SET DateStyle = 'German'", "SET idle_session_timeout = '1h'", "BEGIN"} {
		other := dialRaw(t, s.dsn())
		other.ask(msgQuery(set))
		other.ask(msgQuery("SELECT version FROM item WHERE id = 4"))
	}
	s.heat(c, ask)
	c.conn.Close()
	c.gone(b)
	b.exec("UPDATE item SET version = version + 1 WHERE id = 3")
	servers.Eventually(t, "the answer to be left to who asks for it", func() bool { return s.Report().WarmRefused == 1 })
	s.warms(0)
}

// gone waits until the client's server process has ended.
func (c *rawClient) gone(bed *testbed) {
	c.t.Helper()
	servers.Eventually(c.t, "the server process to end", func() bool {
		var n int
		return bed.direct.QueryRow(c.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", c.pid()).Scan(&n) == nil && n == 0
	})
}

// gated is a read that a lock keeps from ending.
type gated struct {
	*testbed
	side   *side
	locker *pgx.Conn
	// reader's session makes the load.
	reader *rawClient
	// before is how many loads had ended when that of begin began.
	before uint64
}

const (
	gateSchema = itemSchema + "CREATE TABLE gate (id int PRIMARY KEY); INSERT INTO gate VALUES (1); CREATE TABLE scratch (id int)"
	gatedRead  = "SELECT i.version FROM item i, gate g WHERE i.id = 3 AND g.id = 1"
	waitsLock  = "wait_event_type = 'Lock'"
)

var gatedAsk = msgQuery(gatedRead)

func newGated(t *testing.T, patience time.Duration) *gated {
	t.Helper()
	b := newTestbed(t, gateSchema)
	b.warmFrom, b.warmPatience, b.warmIdleWait = 1, patience, servers.EventuallyMax
	g := &gated{testbed: b, side: b.sidecar(patient)}
	g.locker = b.connect(b.postgres.DSN(b.database))
	g.reader = dialRaw(t, g.side.dsn())
	return g
}

// begin has a load begin that nobody asked for, and wait for a lock. Where something else ends
// what was read before the lock is there, the load does not wait, and there is another.
func (g *gated) begin() {
	g.t.Helper()
	m := g.side.warmer
	for waits := false; !waits; {
		g.side.received()
		g.side.heat(g.reader, gatedAsk)
		servers.Eventually(g.t, "no load to be under way", func() bool { return len(m.places) == 0 })
		g.before = g.side.Report().Warmed
		mustExec(g.t, g.locker, "BEGIN; LOCK TABLE gate")
		g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
		g.side.received()
		servers.Eventually(g.t, "a load to wait for the lock, or to be over", func() bool {
			waits = g.reader.is(g.testbed, waitsLock)
			return waits || g.side.watches() == 0 && len(m.places) == 0
		})
		if !waits {
			g.open()
		}
	}
}

// warms waits until the load that begin began and no others have ended.
func (g *gated) warms() {
	g.t.Helper()
	g.side.warms(g.before + 1)
}

func (g *gated) open() { mustExec(g.t, g.locker, "COMMIT") }

// The interleaving described in warming.go: a client that sends something waits for no more than
// a load, and is answered as by Postgres.
func TestWarmingGivesWay(t *testing.T) {
	t.Parallel()
	g := newGated(t, 0)
	direct := dialRaw(t, g.postgres.DSN(g.database))
	for _, next := range [][]byte{
		msgQuery("SELECT name FROM item WHERE id = 4"),
		join(read("4"), msgSync),
		msgQuery("UPDATE item SET version = 100 WHERE id = 5 RETURNING version"),
		msgQuery("INSERT INTO scratch VALUES (1)"),
		msgQuery("SET DateStyle = 'ISO'"),
		join(msgBind(""), msgExecute("", 0), msgSync), // there is no such statement
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

// The interleaving described in warming.go: a cancel request does not end the load of an idle
// client, and what the client has sent behind the load it ends.
func TestCancelWhileWarming(t *testing.T) {
	t.Parallel()
	g := newGated(t, time.Hour)
	g.begin()
	g.reader.cancel(g.side.dsn())
	g.reader.reaches(g.testbed, waitsLock)
	g.open()
	g.warms()
	hits := g.side.count(HitL1)
	g.reader.ask(gatedAsk)
	if g.side.count(HitL1) != hits+1 {
		t.Errorf("the load of an idle client has brought nothing: %s", g.side.became())
	}
	for _, sent := range [][]byte{msgQuery("SELECT pg_sleep(60)"), join(msgParse("", "SELECT pg_sleep(60)"), msgBind(""), msgExecute("", 0), msgSync), gatedAsk} {
		g.begin()
		g.reader.send(sent)
		g.side.awaitsWarming(g.reader)
		g.reader.cancel(g.side.dsn())
		if got := g.reader.until("Z"); !bytes.Contains(got, []byte("57014")) {
			t.Errorf("%s is answered with\n%s", show(sent), show(got))
		}
		g.open()
	}
	if got := g.reader.ask(msgQuery("SELECT pg_sleep(0.002)")); bytes.Contains(got, []byte("57014")) {
		t.Errorf("the next statement is answered with\n%s", show(got))
	}
}

// awaitsWarming waits until what a client has sent waits for a load that it has not asked for.
func (s *side) awaitsWarming(c *rawClient) {
	s.bed.t.Helper()
	waiting := s.sessionOf(c)
	servers.Eventually(s.bed.t, "the client to wait", func() bool {
		waiting.cancels.mu.Lock()
		defer waiting.cancels.mu.Unlock()
		return waiting.cancels.awaited
	})
}

// The interleaving described in warming.go: what a change overtakes is not served, whether it
// shows the change or not, and not loaded again.
func TestChangeWhileWarming(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"before Postgres reads": true, "behind": false} {
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
				g.side.heat(g.reader, gatedAsk)
				var now string
				if err := g.direct.QueryRow(t.Context(), "SELECT clock_timestamp()::text").Scan(&now); err != nil {
					t.Fatal(err)
				}
				session := g.side.sessionOf(g.reader)
				session.writeMu.Lock() // what Postgres says is not heard
				g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				g.reader.reaches(g.testbed, "state = 'idle' AND query_start > '"+now+"' AND query LIKE 'SELECT i.version%'")
				g.exec("UPDATE item SET version = version + 1 WHERE id = 3")
				g.side.received()
				session.writeMu.Unlock()
			}
			g.warms()
			misses := g.side.count(Miss)
			if got, want := g.reader.ask(gatedAsk), direct.ask(gatedAsk); !bytes.Equal(got, want) {
				t.Errorf("the sidecar says\n%s\nPostgres says\n%s", show(got), show(want))
			}
			if g.side.count(Miss) != misses+1 || g.side.watches() != 0 {
				t.Errorf("not a miss: %s; %d answers are watched", g.side.became(), g.side.watches())
			}
			g.warms()
		})
	}
}

// The interleaving described in warming.go: with its client the load ends, and who waits for it
// loads.
func TestClientLeavesWhileWarming(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*rawClient){
		"it closes the connection": func(c *rawClient) { c.conn.Close() },
		"it says goodbye":          func(c *rawClient) { c.send(msgTerminate) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, 0)
			g.begin()
			other := dialRaw(t, g.side.dsn())
			other.send(gatedAsk)
			servers.Eventually(t, "the second client to wait for the load", func() bool { return g.side.waiting() == 1 })
			leave(g.reader)
			g.reader.gone(g.testbed)
			other.reaches(g.testbed, waitsLock)
			want := dialRaw(t, g.postgres.DSN(g.database))
			g.open()
			if got, want := other.until("Z"), want.ask(gatedAsk); !bytes.Equal(got, want) {
				t.Errorf("who waited is told\n%s\nPostgres says\n%s", show(got), show(want))
			}
		})
	}
}

// Who asks for what is being loaded for nobody waits for that load, and makes none.
func TestReadersShareWhatIsLoadedForNobody(t *testing.T) {
	t.Parallel()
	g := newGated(t, time.Hour)
	g.begin()
	other := dialRaw(t, g.side.dsn())
	misses := g.side.count(Miss)
	other.send(gatedAsk)
	servers.Eventually(t, "the second client to wait for the load", func() bool { return g.side.waiting() == 1 })
	g.open()
	if got, want := other.until("Z"), dialRaw(t, g.postgres.DSN(g.database)).ask(gatedAsk); !bytes.Equal(got, want) {
		t.Errorf("who waited is told\n%s\nPostgres says\n%s", show(got), show(want))
	}
	if r := g.side.Report(); g.side.count(Miss) != misses || r.WarmedRead != 1 {
		t.Errorf("%d were read; %s", r.WarmedRead, g.side.became())
	}
}

// An error of such a load shows nowhere and leaves nothing.
func TestErrorsOfWhatIsLoadedForNobody(t *testing.T) {
	t.Parallel()
	b, s := newWarmBed(t, itemSchema)
	c, direct := dialRaw(t, s.dsn()), dialRaw(t, b.postgres.DSN(b.database))
	ask := join(msgParse("", "SELECT 10 / version AS share FROM item WHERE id = $1"), msgBind("", "3"), msgDescribe('P', ""), msgExecute("", 0), msgSync)
	b.exec("UPDATE item SET version = 1 WHERE id = 3")
	s.heat(c, ask)
	b.exec("UPDATE item SET version = 0 WHERE id = 3")
	s.received()
	s.warms(1)
	bindUnnamed := join(msgBind("", "3"), msgExecute("", 0), msgSync)
	direct.ask(ask)
	for _, next := range [][]byte{bindUnnamed, ask, bindUnnamed, msgQuery("SELECT name FROM pg_prepared_statements"), bindUnnamed} {
		if got, want := c.ask(next), direct.ask(next); !bytes.Equal(got, want) {
			t.Errorf("%s\nthe sidecar says\n%s\nPostgres says\n%s", show(next), show(got), show(want))
		}
	}
}

// A fault of the sidecar's own in such a load ends the session, and no other.
func TestFaultWhileWarming(t *testing.T) {
	t.Parallel()
	_, s := newWarmBed(t, itemSchema)
	s.panics = 1
	c, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
	c.ask(msgQuery(readItem3))
	session := s.sessionOf(c)
	session.turn.Lock()
	malformed := &wish{state: session.state().ID} // without a key
	session.turn.Unlock()
	servers.Eventually(t, "the load to begin", func() bool { return session.beginWarming(malformed, answer.NewCapture()) != nil })
	if got := c.rest(); !bytes.Contains(got, []byte("XX000")) {
		t.Errorf("the client is told\n%s", show(got))
	}
	if got := other.ask(msgQuery(readItem3)); !bytes.Contains(got, []byte("item 3")) {
		t.Errorf("another client is told\n%s", show(got))
	}
}

// As many answers are watched as may be: those that took longest.
func TestWatchedAnswersAreBounded(t *testing.T) {
	t.Parallel()
	m := newWarmer(&Server{}, 1)
	for n := range uint64(3 * warmWatched) {
		m.watch(&wish{hash: n + 1, took: time.Duration(n + 1)})
	}
	if len(m.watched) != warmWatched || m.server.counters.WarmRefused.Load() != 2*warmWatched || m.watched[3*warmWatched] == nil {
		t.Errorf("%d are watched, %d refused", len(m.watched), m.server.counters.WarmRefused.Load())
	}
	m.watch(&wish{hash: 1 << 20, took: 0})
	if m.watched[1<<20] != nil {
		t.Error("what takes no time is watched in place of what takes some")
	}
}

// Nothing is loaded for nobody while clients wait for many loads, or as many such loads are under
// way as may be.
func TestLoadsForNobodyAreBounded(t *testing.T) {
	t.Parallel()
	_, s := newWarmBed(t, itemSchema)
	m := s.warmer
	for range warmAtOnce {
		if !m.begins(&wish{}) {
			t.Fatal("a load does not begin")
		}
	}
	if m.begins(&wish{}) {
		t.Error("more loads begin than may be under way")
	}
	<-m.places
	for n := range warmCrowd {
		defer s.cache.Join(fmt.Append(nil, n)).Finish(nil)
	}
	if m.begins(&wish{}) {
		t.Error("a load begins while clients wait for many")
	}
}
