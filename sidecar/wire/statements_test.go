package wire

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// noStatements are those of a client that has just come.
func noStatements() *statements { return &statements{byName: map[string]*prepared{}} }

// A simple query ends the unnamed statement, for whoever hears of it.
func TestSimpleQueryEndsTheUnnamedStatement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by           asking
		client, held bool // what is left
		undone       bool
	}{
		"the client's, which Postgres gets":  {by: askedByClient, undone: true},
		"the client's, which is answered":    {by: answeredHere, held: true},
		"the sidecar's, which Postgres gets": {by: askedHere, client: true, undone: true},
	} {
		s := noStatements()
		if s.simpleQuery(c.by) != nil {
			t.Errorf("%s: where there is nothing, something changes", name)
		}
		p, other := &prepared{}, &prepared{}
		s.bind("", p)
		s.bind("other", other)
		made := s.simpleQuery(c.by)
		if (s.unnamed() == p) != c.client || (s.held == p) != c.held || s.named([]byte("other")) != other {
			t.Errorf("%s: the client believes %v, Postgres holds %v", name, s.byName, s.held)
		}
		if (made != nil) != c.undone {
			t.Errorf("%s: the change is %v", name, made)
		}
		if made == nil {
			continue
		}
		s.takeBack([]*change{made})
		if s.unnamed() != p || s.held != p {
			t.Errorf("%s, skipped: the client believes %v, Postgres holds %v", name, s.byName, s.held)
		}
	}
}

// The interleaving described at takeBack.
func TestStatementsOfPipelinedFailures(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(s *statements) *change{
		"another Parse":            func(s *statements) *change { return s.bind("", &prepared{}) },
		"a query":                  func(s *statements) *change { return s.simpleQuery(askedByClient) },
		"a Parse of the sidecar's": func(s *statements) *change { return s.provide(&prepared{}) },
	} {
		s := noStatements()
		a := &prepared{}
		s.bind("", a)
		first := s.bind("", &prepared{})
		then := second(s)
		s.takeBack([]*change{first})
		s.takeBack([]*change{then})
		if s.unnamed() != a || s.held != a {
			t.Errorf("%s: the client's unnamed statement is not what it was, or Postgres' is not", name)
		}
	}
}

// The interleaving described at provideUnnamed: a Bind comes together with a group that
// fails before its Parse, and is dealt with when that is heard.
func TestBindBehindASkippedParse(t *testing.T) {
	t.Parallel()
	s := fuzzed(t)
	a := s.statements.unnamed()
	s.statements.held = a
	group := join(msgBind("nothing"), msgParse("", "SELECT 2"), msgSync)
	s.planGroup(group)
	if err := s.forwardGroup(group, false); err != nil {
		t.Fatal(err)
	}
	s.toUp = s.toUp[:0]
	s.receive(t, join(protocol.ErrorResponse("ERROR", "26000", "no such statement", ""), []byte(protocol.ReadyIdle)))
	bind := join(msgBind(""), msgExecute("", 0), msgSync)
	if reason := s.obstacle(); reason == "" {
		t.Error("a group may be answered by a statement that Postgres has skipped")
	}
	s.planGroup(bind)
	if err := s.forwardGroup(bind, false); err != nil {
		t.Fatal(err)
	}
	if string(s.toUp) != string(bind) || s.statements.unnamed() != a || s.statements.held != a {
		t.Errorf("Postgres is sent %q", s.toUp)
	}
}

// TestRandomStatements plays messages that change names at random, of which what becomes
// of them is heard later, and compares what is believed with a model that plays them all
// again from the beginning, but those that are known not to have happened.
func TestRandomStatements(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		p := &namePlay{random: rand.New(rand.NewPCG(seed, 5)), s: noStatements()}
		for range 40 {
			p.step()
			if err := p.compare(); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(p.log, "\n"))
			}
		}
	}
}

// nameMessage is a message that changes names.
type nameMessage struct {
	what   string
	name   string
	p      *prepared
	change *change
	// fate is empty until it is heard: done, skipped, or dropped for a Parse of the
	// sidecar's that has failed.
	fate string
}

type namePlay struct {
	random *rand.Rand
	s      *statements
	all    []*nameMessage
	heard  int // how many of them
	undone []*change
	log    []string
}

func (p *namePlay) step() {
	name := []string{"", "", "a", "b"}[p.random.IntN(4)]
	settled := p.heard == len(p.all) && len(p.undone) == 0
	switch n := p.random.IntN(12); {
	case n < 3:
		q := &prepared{}
		p.sent(&nameMessage{what: "Parse", name: name, p: q, change: p.s.bind(name, q)})
	case n == 3:
		p.sent(&nameMessage{what: "Parse", name: name, change: p.s.bind(name, nil)})
	case n == 4:
		p.sent(&nameMessage{what: "Parse", change: p.s.simpleQuery(askedByClient)})
	case n == 5:
		p.sent(&nameMessage{what: "provide", change: p.s.simpleQuery(askedHere)})
	case n == 6:
		q := &prepared{}
		p.sent(&nameMessage{what: "provide", p: q, change: p.s.provide(q)})
	case n == 7:
		p.s.forget(name)
		p.sent(&nameMessage{what: "assign", name: name, fate: "done"})
	case n == 8 && settled:
		q := &prepared{statement: &statement{}}
		p.sent(&nameMessage{what: "assign", p: p.s.adopt(q, true), fate: "done"})
	case n < 11:
		p.hear()
	default:
		p.s.takeBack(p.undone)
		p.undone = nil
		if p.heard == len(p.all) {
			p.s.settled()
		}
	}
}

func (p *namePlay) sent(m *nameMessage) {
	p.all = append(p.all, m)
	p.log = append(p.log, fmt.Sprintf("%s %q %v", m.what, m.name, m.p != nil))
}

// hear has it become known what happened to some messages, the oldest first.
func (p *namePlay) hear() {
	for n := p.random.IntN(4); n > 0 && p.heard < len(p.all); n-- {
		m := p.all[p.heard]
		p.heard++
		if m.fate != "" {
			continue
		}
		m.fate = []string{"done", "done", "skipped", "dropped"}[p.random.IntN(4)]
		if m.fate == "dropped" && (m.what != "provide" || m.p == nil) {
			m.fate = "skipped"
		}
		p.log = append(p.log, fmt.Sprintf("message %d is %s", p.heard-1, m.fate))
		if m.fate != "done" && m.change != nil {
			m.change.dropped = m.fate == "dropped"
			p.undone = append(p.undone, m.change)
		}
	}
}

// compare compares with the model, unless what is known was not taken in yet.
func (p *namePlay) compare() error {
	if len(p.undone) > 0 {
		return nil
	}
	client, held := map[string]*prepared{}, (*prepared)(nil)
	for _, m := range p.all {
		switch {
		case m.fate == "skipped":
			continue
		case m.fate == "dropped":
			held = nil
			continue
		case m.what != "provide":
			client[m.name] = m.p
		}
		if m.what != "assign" && m.name == "" {
			held = m.p
		}
	}
	maps.DeleteFunc(client, func(_ string, p *prepared) bool { return p == nil })
	if !maps.Equal(client, p.s.byName) {
		return fmt.Errorf("the client believes in %v, want %v", slices.Sorted(maps.Keys(p.s.byName)), slices.Sorted(maps.Keys(client)))
	}
	if held != p.s.held {
		return fmt.Errorf("Postgres holds %p, want %p", p.s.held, held)
	}
	return nil
}

func TestStatementsBeyondTheirBoundPassThrough(t *testing.T) {
	t.Parallel()
	s := noStatements()
	for i := range preparedMax {
		s.bind(fmt.Sprint(i), &prepared{})
	}
	last := s.bind("one more", &prepared{})
	if len(s.byName) != preparedMax || s.named([]byte("one more")) != nil {
		t.Errorf("%d are remembered", len(s.byName))
	}
	s.takeBack([]*change{last})
	s.bind("0", nil)
	if s.bind("one more", &prepared{}); s.named([]byte("one more")) == nil {
		t.Error("there is room, and it is not remembered")
	}
}
