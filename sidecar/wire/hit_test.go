package wire

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/allocations"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// silent is a connection that takes everything and gives nothing.
type silent struct{ net.Conn }

func (silent) Write(b []byte) (int, error)      { return len(b), nil }
func (silent) Close() error                     { return nil }
func (silent) SetWriteDeadline(time.Time) error { return nil }

// warmSession is a session of a real sidecar, without its sockets, that knows the prepared
// statement "s", and the units simple and prepared, whose answers the sidecar's cache has. The
// session has no Postgres that it could ask for its state again, as it would have to behind a change
// of the schema: so a test that has such a session is not parallel.
func warmSession(t testing.TB, s *side) (c *session, simple, prepared []byte) {
	t.Helper()
	text := "SELECT name, version FROM item WHERE id = 7"
	c = newSession(s.Server, silent{})
	t.Cleanup(c.end)
	c.talk.Begin(protocol.StatusIdle)
	c.known.Note(&probe.State{ID: digest.Of([]byte("state")), Server: probe.Server{Incarnation: s.fence.Head().Incarnation}})

	statement, _ := c.statements.Intern([]byte("SELECT name, version FROM item WHERE id = $1\x00\x00\x00"))
	p := parsed(statement)
	p.Meaning.Store(c.meaning())
	c.statements.Assign("s", p)
	bound := []byte("\x00\x00\x00\x01\x00\x00\x00\x017\x00\x00")
	simple = protocol.AppendMessage(nil, 'Q', []byte(text), []byte{0})
	prepared = protocol.AppendMessage(nil, 'B', []byte("\x00s\x00"), bound)
	prepared = protocol.AppendMessage(prepared, 'D', []byte("P\x00"))
	prepared = protocol.AppendMessage(prepared, 'E', []byte("\x00\x00\x00\x00\x00"))
	prepared = protocol.AppendMessage(prepared, 'S')

	for _, key := range []answer.Key{
		{State: &c.state().ID, Form: answer.Query, Bound: []byte(text)},
		{State: &c.state().ID, Form: answer.Described, Statement: &statement.ID, Bound: bound},
	} {
		start, ok := s.cache.Begin()
		if !ok {
			t.Fatal("the follower has no head")
		}
		capture := &answer.Capture{Key: key.AppendTo(nil), Start: start, SizeMax: 1 << 20}
		capture.Add('T', protocol.AppendMessage(nil, 'T', make([]byte, 60)))
		capture.Add('D', protocol.AppendMessage(nil, 'D', make([]byte, 40)))
		capture.End('C')
		s.storeCapture(capture, fence.Now())
	}
	s.received() // a look from after both loads lets their answers be served
	return c, simple, prepared
}

// parsed is a prepared statement that Postgres has accepted.
func parsed(s *statements.Statement) *statements.Prepared {
	p := &statements.Prepared{Statement: s}
	p.Accepted.Store(true)
	return p
}

// answerForTest has the session answer a unit from the cache, as readClient does.
func (s *session) answerForTest(t testing.TB, unit []byte) {
	kind, n := protocol.NextUnit(unit)
	if n != len(unit) || !s.handle(kind, unit) || len(s.toUp) > 0 {
		t.Fatal("the unit is not answered from the cache")
	}
	s.out = s.out[:0]
}

// The subtests share a sidecar, with a session each. The last has a setting be in keys from then on.
func TestHitAllocatesNothing(t *testing.T) {
	s := newTestbed(t, itemSchema).sidecar()
	t.Run("the book is asked once what a statement may write", func(t *testing.T) { mustRememberWhatItMayWrite(t, s) })
	t.Run("answers of one group are written as they come", func(t *testing.T) { mustWriteAsTheyCome(t, s) })
	t.Run("hits", func(t *testing.T) { mustHitWithoutAllocations(t, s) })
}

// mustHitWithoutAllocations requires that a hit of a Query and one of a group allocate nothing, also
// where a setting is in the keys of other statements because their row security reads it.
func mustHitWithoutAllocations(t *testing.T, s *side) {
	c, simple, prepared := warmSession(t, s)
	hits := func(how, name string, unit []byte) {
		if n := allocations.Fewest(1000, func() {
			c.now = 0
			c.answerForTest(t, unit)
		}); n != 0 {
			t.Errorf("a %s hit%s allocates %v times, want none", name, how, n)
		}
	}
	hits("", "simple", simple)
	hits("", "prepared", prepared)
	s.keyed.add([]string{"app.tenant"}) // as a verdict of another statement does
	hits(" beside row security", "simple", simple)
}

// mustRememberWhatItMayWrite requires that a prepared statement is looked up in the book of verdicts
// once, since the session asks what the statement may write each time that it forwards it. Asked
// again, it allocates nothing.
func mustRememberWhatItMayWrite(t *testing.T, s *side) {
	c, _, _ := warmSession(t, s)
	for _, sql := range []string{"SELECT id FROM public.item WHERE now() IS NULL", "UPDATE public.item SET version = version + 1 WHERE version = 7"} {
		statement, _ := c.statements.Intern([]byte(sql + "\x00\x00\x00"))
		w := &want{prepared: &statements.Prepared{Statement: statement}}
		c.effectKnown(w) // asks for the verdict
		s.allAnalysed()
		if _, verdict := c.knownVerdict(statement); verdict == nil {
			t.Errorf("%s: the session knows no verdict, want one", sql)
		}
		if n := allocations.Fewest(100, func() { c.effectKnown(w) }); n != 0 {
			t.Errorf("%s: to ask what it may write allocates %v times, want none", sql, n)
		}
	}
}

// mustWriteAsTheyCome requires that the copies of one answer that a group asks for many times are
// written as they come, and not gathered in memory.
func mustWriteAsTheyCome(t *testing.T, s *side) {
	c, _, prepared := warmSession(t, s)
	ask := prepared[:len(prepared)-protocol.HeaderLength]
	unit := append(bytes.Repeat(ask, 4000), msgSync...)
	if kind, n := protocol.NextUnit(unit); !c.handle(kind, unit[:n]) || len(c.toUp) > 0 {
		t.Fatal("the group is not answered from the cache")
	}
	if held := cap(c.out); held > 4*answersHeldMax {
		t.Errorf("%d bytes were held for one write, want %d at most", held, 4*answersHeldMax)
	}
}

func BenchmarkHit(b *testing.B) {
	bed := newTestbed(b, itemSchema)
	s := bed.sidecar()
	c, simple, prepared := warmSession(b, s)
	for name, unit := range map[string][]byte{"simple": simple, "prepared": prepared} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.now = 0
				c.answerForTest(b, unit)
			}
		})
	}
}
