package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// A transaction that has written is rolled back, all in one pipeline: its read, which is planned
// before the sidecar knows that the transaction has begun, is captured for nobody.
func TestPipelinedTransactionIsCapturedForNobody(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
	s.learnExtended(c)
	write := join(msgParse("", "UPDATE item SET version = 9 WHERE id = 7"), msgBind(""), msgExecute("", 0), msgSync)
	for i := range 10 {
		s.received()
		c.ask(read("8"), msgSync)
		c.send(join(read(fmt.Sprint(1000+i)), msgSync, msgQuery("BEGIN"), write, read("7"), msgSync, msgQuery("ROLLBACK")))
		if got := c.until("ZZZZZ"); !bytes.Contains(got, []byte("\x00\x00\x00\x019C")) {
			t.Fatalf("the transaction does not read what it wrote:\n%s", show(got))
		}
		for _, c := range []*rawClient{c, other} {
			if got := c.ask(read("7"), msgSync); !bytes.Contains(got, []byte("\x00\x00\x00\x010C")) {
				t.Fatalf("a client does not read version 0, though version 9 was rolled back:\n%s", show(got))
			}
		}
		bed.exec("UPDATE item SET version = 0 WHERE id = 7") // ends the answer that is kept of item 7
	}
}

// In a pipeline of reads of which no answer is kept, each is captured, though those before it are
// unanswered: the next time all are hits, in both protocols.
func TestColdPipelineIsCaptured(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	c, direct := dialRaw(t, s.dsn()), dialRaw(t, bed.postgres.DSN(bed.database))
	s.learnExtended(c)
	for range 2 {
		s.learn("SELECT name FROM item WHERE id = 8")
	}
	c.ask(msgQuery("SELECT name FROM item WHERE id = 8"))
	const n = 5
	// ask sends n reads in one pipeline, with between behind the first of them.
	ask := func(between []byte, unit func(id int) []byte, from int) (hits, misses uint64) {
		t.Helper()
		var sent []byte
		until := strings.Repeat("Z", n)
		for i := range n {
			sent = append(sent, unit(from+i)...)
			if i == 0 && between != nil {
				sent, until = append(sent, between...), until+"Z"
			}
		}
		before := s.Report()
		c.send(sent)
		direct.send(sent)
		if got, want := maskTwins(c.until(until)), maskTwins(direct.until(until)); !bytes.Equal(got, want) {
			t.Errorf("Postgres says\n%s\nthe sidecar says\n%s", show(want), show(got))
		}
		s.received() // or hits would need a look behind what Postgres has shown the session
		after := s.Report()
		return after.Queries["hit_l1"] - before.Queries["hit_l1"], after.Queries["miss"] - before.Queries["miss"]
	}
	s.received()
	for i, unit := range []func(id int) []byte{
		func(id int) []byte { return msgQuery(fmt.Sprintf("SELECT name FROM item WHERE id = %d", id)) },
		func(id int) []byte { return join(read(fmt.Sprint(id)), msgSync) },
	} {
		if hits, misses := ask(nil, unit, 101); hits != 0 || misses != n {
			t.Errorf("way %d: %d hits and %d misses of %d cold reads, want misses alone", i, hits, misses, n)
		}
		if hits, misses := ask(nil, unit, 101); hits != n || misses != 0 {
			t.Errorf("way %d: %d hits and %d misses of %d reads the second time, want hits alone", i, hits, misses, n)
		}
		// Behind a statement that may change something nothing is captured until that is answered:
		// only the read before it may be a miss.
		for name, between := range map[string][]byte{"SET": msgQuery("SET DateStyle = 'ISO, DMY'"), "a function": msgQuery("SELECT set_config('work_mem', '1MB', false)")} {
			if _, misses := ask(between, unit, 201); misses > 1 {
				t.Errorf("way %d: %d misses of reads around %s, want 1 at most", i, misses, name)
			}
			for _, c := range []*rawClient{c, direct} {
				c.ask(msgQuery("ROLLBACK"))
			}
			c.ask(unit(101)) // has the session probed
			s.received()
		}
	}
}

// Behind unanswered reads the ladder is climbed with what the session knows already. Where that
// would take a question to Postgres, a look or a wait, the read passes through, and for its
// decision nothing is sent or served.
func TestLadderAsksNobodyBehindUnansweredReads(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	e := exchanges(t, bed.sidecar(patient))["simple miss"]
	c := e.c
	t.Cleanup(c.abandonCaptures)
	c.talk.Owe(conversation.Expectation{Kind: conversation.Query, Harmless: true})
	// decided is the decision on a Query, for which nothing may be sent or served.
	decided := func(unit []byte) decision {
		c.planQuery(unit[protocol.HeaderLength:len(unit)-1], true)
		d := *c.decide(unit, c.obstacle())
		if len(c.toUp) > 0 || len(c.out) > 0 || d.answered || d.found > 0 {
			t.Fatalf("%+v: Postgres is sent %q and the client %q, want nothing sent or found", d, c.toUp, c.out)
		}
		return d
	}
	// fresh is a read with a value that was not asked for before.
	fresh := func() []byte { e.next++; return e.unit(e.next) }
	var d decision
	servers.Eventually(t, "a cold read to be decided without its schema moving", func() bool {
		d = decided(fresh())
		return d.reason == ""
	})
	if !d.harmless || c.plan.wants[0].capture == nil {
		t.Fatalf("a cold read is decided as %+v, want it harmless and captured", d)
	}
	c.plan.wants[0].capture.Release(nil)
	for name, change := range map[string]func(){
		"the state may have changed":   func() { c.known.NoteChanged(true) },
		"an assumption was made":       func() { c.assumption.made = true },
		"a setting of the transaction": func() { c.known.NoteLocal(nil) },
		"a replica":                    func() { c.known.Note(&probe.State{ID: c.state().ID, Server: probe.Server{Standby: "one"}}) },
		"another server":               func() { c.known.Note(&probe.State{ID: c.state().ID}) },
		"a reason of the state":        func() { c.known.Note(&probe.State{ID: c.state().ID, Reason: reasons.Settings}) },
		"the shape has no verdict":     func() { c.known.Note(&probe.State{Server: c.state().Server}) },
	} {
		known, assumption := c.known, c.assumption
		change()
		if d := decided(fresh()); d.reason != reasons.Pipelined || c.plan.wants[0].capture != nil {
			t.Errorf("%s: a read is decided as %+v, want it passed through as %s, and not captured", name, d, reasons.Pipelined)
		}
		c.known, c.assumption = known, assumption
	}
	for _, sql := range []string{"SELECT name, version FROM item WHERE id = 7", "BEGIN", "UPDATE item SET version = 1"} { // the answer to the first is in memory
		if d := decided(msgQuery(sql)); d.reason != reasons.Pipelined {
			t.Errorf("%s is decided as %+v, want it passed through as %s", sql, d, reasons.Pipelined)
		}
	}
}

// A statement with a date in its text that is prepared, or bound, while a read before it is
// unanswered has hits once the read is answered; it has none if the unanswered statement may change
// a setting.
func TestStatementPreparedBehindAnUnansweredReadHits(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema+"; CREATE TABLE day (id int, d date); INSERT INTO day VALUES (1, '2024-01-02'); CREATE TABLE taken (id int)")
	s := bed.sidecar(patient)
	taker := bed.connect(bed.postgres.DSN(bed.database))
	const dated = "SELECT id FROM day WHERE d < '2024-01-03'"
	taken := join(msgParse("", "SELECT count(*) FROM taken"), msgBind(""), msgExecute("", 0), msgSync)
	use := join(binding{statement: "dated"}.message(), msgExecute("", 0), msgSync)
	hits := func(c *rawClient) bool {
		s.received()
		before := s.count(HitL1)
		c.ask(use)
		return s.count(HitL1) > before
	}
	for name, way := range map[string]struct {
		first, unanswered, behind []byte // sent one behind the other; first, unless nil, is answered before
		hits                      bool
	}{
		"Parse behind a read":   {nil, taken, join(msgParse("dated", dated), use), true},
		"Bind behind a read":    {join(msgParse("dated", dated), msgSync), taken, use, true},
		"Parse behind a change": {nil, join(msgParse("", "SELECT set_config('array_nulls', 'on', false) FROM taken"), msgBind(""), msgExecute("", 0), msgSync), join(msgParse("dated", dated), use), false},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, s.dsn())
			for _, warm := range [][]byte{taken, join(msgParse("", dated), msgBind(""), msgExecute("", 0), msgSync)} {
				servers.Eventually(t, "the shape to be known", func() bool {
					before := s.count(Bypass)
					c.ask(warm)
					return s.count(Bypass) == before
				})
			}
			if way.first != nil {
				c.ask(way.first)
				servers.Eventually(t, "a hit before", func() bool { return hits(c) })
			}
			// The writes end the answers of both tables, and a read of the table taken waits for
			// its lock.
			bed.exec("INSERT INTO day VALUES (2, '2024-02-01'); INSERT INTO taken VALUES (1)")
			s.received()
			mustExec(t, taker, "BEGIN; LOCK TABLE taken IN ACCESS EXCLUSIVE MODE")
			before := s.executed()
			c.send(way.unanswered)
			c.reaches(bed, "wait_event_type = 'Lock'")
			c.send(way.behind)
			servers.Eventually(t, "the unit behind to be sent", func() bool { return s.executed() == before+2 })
			mustExec(t, taker, "ROLLBACK")
			c.until("ZZ")
			for range 5 {
				hits(c)
			}
			if got := hits(c); got != way.hits {
				t.Errorf("the read of day is a hit: %v, want %v; so far: %s", got, way.hits, s.became())
			}
		})
	}
}

// executed is how many statements clients have had executed.
func (s *side) executed() (n uint64) {
	for _, of := range s.Report().Queries {
		n += of
	}
	return n
}
