package wire

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/statements"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// fuzzed is a session without connections that knows an unnamed statement and
// one named s.
func fuzzed(t *testing.T, cache *engine.Cache) *session {
	s := unconnectedBehind(t, fence.New(fence.Options{Slots: 1})) // a small fence: one is made for each of thousands of inputs
	s.server.cache = cache
	s.up = transport.NewStream(silent{}, nil)
	s.known.Note(&probe.State{})
	text, ok := s.statements.Intern([]byte("SELECT 1\x00\x00\x00"))
	if !ok {
		t.Fatal("the session does not understand SELECT 1")
	}
	for _, name := range []string{"", "s"} {
		p := &statements.Prepared{Statement: text, Parse: msgParse(name, "SELECT 1")}
		p.Accepted.Store(true)
		s.statements.Assign(name, p)
	}
	return s
}

// FuzzFrontend: whatever a client sends is cut into units, planned, answered and
// forwarded without a panic, and no byte is lost or invented on the way up.
func FuzzFrontend(f *testing.F) {
	counting, err := engine.New(engine.Options{Fence: fence.New(fewSlots)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(counting.Close)
	for _, d := range differentials {
		for _, step := range d.steps {
			if len(step.send) < 4<<10 {
				f.Add(step.send)
			}
		}
	}
	for _, seed := range interruptions {
		f.Add(seed)
	}
	f.Add(join(msgBind("s", "1"), msgDescribe('P', ""), msgExecute("", 0), msgDescribe('S', "s"), msgSync))
	f.Fuzz(func(t *testing.T, sent []byte) {
		for held := sent; ; {
			kind, n := protocol.NextUnit(held)
			if n < 0 || n > len(held) || (n == 0) != (kind == protocol.UnitMalformed || kind == protocol.UnitIncomplete && n == 0) {
				t.Fatalf("a unit of kind %d has %d bytes of the %d that were sent, want one that fits", kind, n, len(held))
			}
			if n == 0 {
				break
			}
			unit := held[:n]
			if whole := 0; kind != protocol.UnitIncomplete {
				for _, m := range protocol.Messages(unit) {
					whole += len(m)
				}
				if whole != n {
					t.Fatalf("the messages of a unit have %d bytes, want the unit's %d", whole, n)
				}
			}
			fuzzGroup(t, counting, kind, unit)
			held = held[n:]
		}
		_, _ = new(statements.Set).Intern(sent)
		_, _ = boundValues(sent)
	})
}

// fuzzGroup plans a unit, and answers it if the plan allows that. Then it has the unit forwarded by
// another session, and checks the bytes that Postgres would be sent.
func fuzzGroup(t *testing.T, counting *engine.Cache, kind protocol.UnitKind, unit []byte) {
	s := fuzzed(t, counting) // its cache counts the hits
	defer s.end()
	s.planGroup(unit)
	if p := &s.plan; p.reason == "" && kind == protocol.UnitGroup && len(p.wants) > 0 {
		for i := range p.wants {
			if w := &p.wants[i]; w.prepared == nil || w.prepared.Statement == nil {
				t.Fatalf("a group with a statement that the session does not know would be answered: %q", unit)
			}
			p.wants[i].entry = &engine.Entry{Payload: &answer.Answer{Body: []byte("body"), Description: []byte("description")}}
			s.keyOf(&p.wants[i])
		}
		_ = s.holds(&s.plan)
		if err := s.answerGroup(unit, HitL1); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(s.out, []byte(protocol.ReadyIdle)) {
			t.Fatalf("a group is answered with %q, want a ReadyForQuery at the end", s.out)
		}
	}
	s = fuzzed(t, counting)
	defer s.end()
	s.statements.Provide(s.statements.Unnamed()) // or its Parse would be sent first
	s.statements.Settled()
	s.planGroup(unit)
	if kind == protocol.UnitGroup || kind == protocol.UnitPart {
		if err := s.forwardGroup(unit, false); err != nil {
			t.Fatal(err)
		}
		if !mentionsToken(unit) && !s.namesUnnamed(unit) && len(unit) < answersHeldMax && !bytes.Equal(s.toUp, unit) {
			t.Fatalf("Postgres is sent\n%q\nwant what the client has sent,\n%q", s.toUp, unit)
		}
	}
}

// namesUnnamed reports whether Postgres may have to be given the unnamed
// statement before a unit.
func (s *session) namesUnnamed(unit []byte) bool {
	for kind, m := range protocol.Messages(unit) {
		name, ok := []byte("other"), false
		switch kind {
		case 'B':
			name, ok = protocol.StatementOfBind(m[protocol.HeaderLength:])
		case 'D':
			name, ok = protocol.StatementOfDescribe(m[protocol.HeaderLength:])
		}
		if ok && len(name) == 0 {
			return true
		}
	}
	return false
}

// FuzzBackend: whatever Postgres sends, the client sees the same bytes, in whichever pieces they
// come.
func FuzzBackend(f *testing.F) {
	for _, seed := range [][]byte{
		join([]byte(protocol.ParseComplete), []byte(protocol.BindComplete), protocol.AppendMessage(nil, 'D', make([]byte, 20<<10)), protocol.AppendMessage(nil, 'C', []byte("SELECT 1\x00")), []byte(protocol.ReadyIdle)),
		join([]byte(protocol.ParseComplete), protocol.ErrorResponse("ERROR", "42601", "no", ""), []byte(protocol.ReadyIdle), []byte(protocol.ReadyIdle)),
		join([]byte(protocol.BindComplete), protocol.AppendMessage(nil, 'G', []byte{0, 0, 0}), protocol.AppendMessage(nil, 'C', []byte("COPY 0\x00"))),
		join(protocol.AppendMessage(nil, 'S', []byte("a\x00b\x00")), protocol.AppendMessage(nil, 'A', make([]byte, 10)), protocol.Warning("so", "what")),
		join(protocol.AppendMessage(nil, 'T', []byte{0, 0}), protocol.AppendMessage(nil, 'I'), protocol.AppendMessage(nil, 's'), protocol.AppendMessage(nil, 't', []byte{0, 0}), protocol.AppendMessage(nil, 'n')),
		append([]byte{'D'}, 0xff, 0xff, 0xff, 0xff), protocol.AppendMessage(nil, 'Z'), protocol.AppendMessage(nil, 'C', []byte("DEALLOCATE ALL\x00")),
	} {
		for queue := range uint8(4) {
			f.Add(seed, queue, uint16(7))
		}
	}
	none := &engine.Cache{}
	f.Fuzz(func(t *testing.T, sent []byte, queue uint8, pieces uint16) {
		for rest := sent; len(rest) > 0; {
			n := protocol.MessageLength(rest)
			if n > wholeMessageMax && rest[0] == 'E' {
				return // the sidecar judges an error by the part that has come, and Postgres sends none that long
			}
			rest = rest[min(max(n, 1), len(rest)):]
		}
		s := fuzzReceiver(t, none, queue)
		defer s.end()
		whole := s.pass(t, sent, len(sent))
		s = fuzzReceiver(t, none, queue)
		defer s.end()
		if inPieces := s.pass(t, sent, int(pieces)+1); !bytes.Equal(whole, inPieces) {
			t.Fatalf("the client sees\n%q\nand, in pieces,\n%q\nwant the same", whole, inPieces)
		}
	})
}

// fuzzReceiver is a session to which Postgres owes the answers of one of four queues, an empty one
// among them.
func fuzzReceiver(t *testing.T, cache *engine.Cache, queue uint8) *session {
	s := fuzzed(t, cache)
	c := &answer.Capture{SizeMax: 64 << 10}
	p := s.statements.Named([]byte("s"))
	switch queue % 4 {
	case 0:
		s.talk.OweRow()
	case 1:
		for _, e := range []conversation.Expectation{
			{Kind: conversation.Parse, Hidden: true, Prepared: p, Change: s.statements.Provide(p)}, {Kind: conversation.Parse, Prepared: p, Change: s.statements.Bind("s", p)},
			{Kind: conversation.Bind, Prepared: p}, {Kind: conversation.Describe, Capture: c}, {Kind: conversation.Execute, Capture: c}, {Kind: conversation.Sync},
		} {
			s.talk.Owe(e)
		}
	case 2:
		s.talk.Owe(conversation.Expectation{Kind: conversation.Close, Hidden: true, Change: s.statements.Provide(nil)})
		s.talk.Owe(conversation.Expectation{Kind: conversation.Bind})
		s.talk.Owe(conversation.Expectation{Kind: conversation.Execute})
		s.talk.Owe(conversation.Expectation{Kind: conversation.Sync})
		s.talk.Owe(conversation.Expectation{Kind: conversation.CopyEnd})
		s.talk.Owe(conversation.Expectation{Kind: conversation.Query})
	}
	return s
}

// pass gives a session what Postgres sent, at most n bytes a read, and returns
// what the client sees.
func (s *session) pass(t *testing.T, sent []byte, n int) (seen []byte) {
	var partial relayed
	var held []byte
	for len(sent) > 0 {
		piece := sent[:min(n, len(sent))]
		sent = sent[len(piece):]
		held = append(held, piece...)
		taken, shown := s.take(held, &partial, nil)
		if taken > len(held) || len(shown) > taken {
			t.Fatalf("of %d bytes %d are taken and %d shown, want no more shown than taken", len(held), taken, len(shown))
		}
		seen = append(seen, shown...)
		held = held[taken:]
		if len(held) >= transport.BufferLengthMax {
			t.Fatal("a full buffer is not passed on")
		}
	}
	return seen
}
