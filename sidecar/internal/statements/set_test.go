package statements

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A simple query ends the unnamed statement, for whoever hears of it.
func TestSimpleQueryEndsTheUnnamedStatement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by           Asking
		client, held bool // what is left
		undone       bool
	}{
		"the client's, which Postgres gets":  {by: AskedByClient, undone: true},
		"the client's, which is answered":    {by: AnsweredHere, held: true},
		"the sidecar's, which Postgres gets": {by: AskedHere, client: true, undone: true},
	} {
		s := new(Set)
		if s.SimpleQuery(c.by) != nil {
			t.Errorf("%s: where there is nothing, something changes", name)
		}
		p, other := &Prepared{}, &Prepared{}
		s.Bind("", p)
		s.Bind("other", other)
		made := s.SimpleQuery(c.by)
		if (s.Unnamed() == p) != c.client || (s.held == p) != c.held || s.Named([]byte("other")) != other {
			t.Errorf("%s: the client believes %v, Postgres holds %v", name, s.byName, s.held)
		}
		if (made != nil) != c.undone {
			t.Errorf("%s: the change is %v", name, made)
		}
		if made == nil {
			continue
		}
		s.TakeBack([]*Change{made})
		if s.Unnamed() != p || s.held != p {
			t.Errorf("%s, skipped: the client believes %v, Postgres holds %v", name, s.byName, s.held)
		}
	}
}

// The interleaving described at TakeBack.
func TestStatementsOfPipelinedFailures(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(s *Set) *Change{
		"another Parse":            func(s *Set) *Change { return s.Bind("", &Prepared{}) },
		"a query":                  func(s *Set) *Change { return s.SimpleQuery(AskedByClient) },
		"a Parse of the sidecar's": func(s *Set) *Change { return s.Provide(&Prepared{}) },
	} {
		s := new(Set)
		a := &Prepared{}
		s.Bind("", a)
		first := s.Bind("", &Prepared{})
		then := second(s)
		s.TakeBack([]*Change{first})
		s.TakeBack([]*Change{then})
		if s.Unnamed() != a || s.held != a {
			t.Errorf("%s: the client's unnamed statement is not what it was, or Postgres' is not", name)
		}
	}
}

// TestRandomStatements plays messages that change names at random, of which what becomes
// of them is heard later, and compares what is believed with a model that plays them all
// again from the beginning, but those that are known not to have happened.
func TestRandomStatements(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		p := &namePlay{random: rand.New(rand.NewPCG(seed, 5)), s: new(Set)}
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
	p      *Prepared
	change *Change
	// fate is empty until it is heard: done, skipped, or dropped for a Parse of the
	// sidecar's that has failed.
	fate string
}

type namePlay struct {
	random *rand.Rand
	s      *Set
	all    []*nameMessage
	heard  int // how many of them
	undone []*Change
	log    []string
}

func (p *namePlay) step() {
	name := []string{"", "", "a", "b"}[p.random.IntN(4)]
	settled := p.heard == len(p.all) && len(p.undone) == 0
	switch n := p.random.IntN(12); {
	case n < 3:
		q := &Prepared{}
		p.sent(&nameMessage{what: "Parse", name: name, p: q, change: p.s.Bind(name, q)})
	case n == 3:
		p.sent(&nameMessage{what: "Parse", name: name, change: p.s.Bind(name, nil)})
	case n == 4:
		p.sent(&nameMessage{what: "Parse", change: p.s.SimpleQuery(AskedByClient)})
	case n == 5:
		p.sent(&nameMessage{what: "provide", change: p.s.SimpleQuery(AskedHere)})
	case n == 6:
		q := &Prepared{}
		p.sent(&nameMessage{what: "provide", p: q, change: p.s.Provide(q)})
	case n == 7:
		p.s.Forget(name)
		p.sent(&nameMessage{what: "assign", name: name, fate: "done"})
	case n == 8 && settled:
		q := &Prepared{Statement: &Statement{}}
		p.sent(&nameMessage{what: "assign", p: p.s.Adopt(q, true), fate: "done"})
	case n < 11:
		p.hear()
	default:
		p.s.TakeBack(p.undone)
		p.undone = nil
		if p.heard == len(p.all) {
			p.s.Settled()
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
	client, held := map[string]*Prepared{}, (*Prepared)(nil)
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
	maps.DeleteFunc(client, func(_ string, p *Prepared) bool { return p == nil })
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
	s := new(Set)
	for i := range preparedMax {
		s.Bind(fmt.Sprint(i), &Prepared{})
	}
	last := s.Bind("one more", &Prepared{})
	if len(s.byName) != preparedMax || s.Named([]byte("one more")) != nil {
		t.Errorf("%d are remembered", len(s.byName))
	}
	s.TakeBack([]*Change{last})
	s.Bind("0", nil)
	if s.Bind("one more", &Prepared{}); s.Named([]byte("one more")) == nil {
		t.Error("there is room, and it is not remembered")
	}
}
