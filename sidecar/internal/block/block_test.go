package block

import (
	"slices"
	"strconv"
	"testing"
)

// performed has a client say statements one after the other. Each may be preceded by
// what happens meanwhile: "read", "fail", or "busy", which keeps a BEGIN from being
// held back. It returns the block, the tags of what was answered, - where Postgres has
// to answer, and the effects of the last.
func performed(said ...string) (b Block, tags []string, last Effects) {
	now := Standing{MayBegin: true}
	for _, text := range said {
		switch text {
		case "read":
			b.Read = true
			continue
		case "fail":
			now.Failed = true
			continue
		case "busy":
			now.MayBegin = false
			continue
		case "proven":
			now.MayHold = true
			continue
		}
		b, last = b.Perform(ParseControl(text), text, now)
		if last.Recovers || last.Ends {
			now.Failed = false
		}
		if !last.Answered {
			last.Tag = "-"
		}
		tags = append(tags, last.Tag)
	}
	return b, tags, last
}

func TestPerform(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		said       []string
		tags       []string
		held       bool
		statements []string // that make a transaction of Postgres what the block is
		last       Effects  // without the tag
	}{
		{"a block begins", []string{"BEGIN"}, []string{"BEGIN"}, true, []string{"BEGIN"}, Effects{Answered: true, Begins: true}},
		{"as it was written", []string{"start transaction read only;"}, []string{"START TRANSACTION"}, true, []string{"start transaction read only;"}, Effects{Answered: true, Begins: true}},
		{"not while Postgres is busy", []string{"busy", "BEGIN"}, []string{"-"}, false, nil, Effects{}},
		{"not with an isolation that is not known", []string{"BEGIN ISOLATION LEVEL SERIALIZABLE"}, []string{"-"}, false, nil, Effects{}},
		{"a second BEGIN is warned about by Postgres", []string{"BEGIN", "BEGIN"}, []string{"BEGIN", "-"}, true, []string{"BEGIN"}, Effects{}},
		{"another statement", []string{"BEGIN", "SELECT 1"}, []string{"BEGIN", "-"}, true, []string{"BEGIN"}, Effects{}},
		{"a block that has read", []string{"BEGIN", "read"}, []string{"BEGIN"}, true, []string{"BEGIN", "SELECT 1"}, Effects{Answered: true, Begins: true}},
		{"one with a savepoint", []string{"BEGIN", "read", "SAVEPOINT s1"}, []string{"BEGIN", "SAVEPOINT"}, true, []string{"BEGIN", "SAVEPOINT s1", "SELECT 1"}, Effects{Answered: true}},

		{"the end", []string{"BEGIN", "COMMIT"}, []string{"BEGIN", "COMMIT"}, false, nil, Effects{Answered: true, Ends: true}},
		{"the other end", []string{"BEGIN", "ROLLBACK"}, []string{"BEGIN", "ROLLBACK"}, false, nil, Effects{Answered: true, Ends: true}},
		{"the end of a failed block", []string{"BEGIN", "fail", "COMMIT"}, []string{"BEGIN", "ROLLBACK"}, false, nil, Effects{Answered: true, Ends: true}},
		{"without a block", []string{"COMMIT", "ROLLBACK", "SAVEPOINT s1", "RELEASE s1", "ROLLBACK TO s1"}, []string{"-", "-", "-", "-", "-"}, false, nil, Effects{}},
		{"a block behind another", []string{"BEGIN", "read", "SAVEPOINT s1", "COMMIT", "begin"}, []string{"BEGIN", "SAVEPOINT", "COMMIT", "BEGIN"}, true, []string{"begin"}, Effects{Answered: true, Begins: true}},

		{"a chain", []string{"BEGIN READ ONLY", "read", "COMMIT AND CHAIN"}, []string{"BEGIN", "COMMIT"}, true, []string{"BEGIN READ ONLY", "COMMIT AND CHAIN"}, Effects{Answered: true, Ends: true, Begins: true}},
		{"a chain behind a failure", []string{"BEGIN", "SAVEPOINT s1", "fail", "COMMIT AND CHAIN"}, []string{"BEGIN", "SAVEPOINT", "ROLLBACK"}, true, []string{"BEGIN", "COMMIT AND CHAIN"}, Effects{Answered: true, Ends: true, Begins: true}},
		{"the end of a chain", []string{"BEGIN", "ROLLBACK AND CHAIN", "COMMIT", "BEGIN"}, []string{"BEGIN", "ROLLBACK", "COMMIT", "BEGIN"}, true, []string{"BEGIN"}, Effects{Answered: true, Begins: true}},

		{"savepoints", []string{"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2"}, []string{"BEGIN", "SAVEPOINT", "SAVEPOINT"}, true, []string{"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2"}, Effects{Answered: true}},
		{"one is released with those behind it", []string{"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2", "RELEASE s1"}, []string{"BEGIN", "SAVEPOINT", "SAVEPOINT", "RELEASE"}, true, []string{"BEGIN"}, Effects{Answered: true}},
		{"back to one, which stays", []string{"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2", "ROLLBACK TO s1"}, []string{"BEGIN", "SAVEPOINT", "SAVEPOINT", "ROLLBACK"}, true, []string{"BEGIN", "SAVEPOINT s1"}, Effects{Answered: true, Recovers: true}},
		{"the younger of one name", []string{"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2", "SAVEPOINT s1", "RELEASE s1"}, []string{"BEGIN", "SAVEPOINT", "SAVEPOINT", "SAVEPOINT", "RELEASE"}, true, []string{"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2"}, Effects{Answered: true}},
		{"one that is not there", []string{"BEGIN", "SAVEPOINT s1", "RELEASE s2"}, []string{"BEGIN", "SAVEPOINT", "-"}, true, []string{"BEGIN", "SAVEPOINT s1"}, Effects{}},
		{"in a failed block", []string{"BEGIN", "SAVEPOINT s1", "fail", "SAVEPOINT s2", "RELEASE s1"}, []string{"BEGIN", "SAVEPOINT", "-", "-"}, true, []string{"BEGIN", "SAVEPOINT s1"}, Effects{}},
		{"back from a failure", []string{"BEGIN", "SAVEPOINT s1", "fail", "ROLLBACK TO s1", "COMMIT"}, []string{"BEGIN", "SAVEPOINT", "ROLLBACK", "COMMIT"}, false, nil, Effects{Answered: true, Ends: true}},

		{"a setting", []string{"BEGIN", "proven", "SET LOCAL a.b = 'c'", "read"}, []string{"BEGIN", "SET"}, true, []string{"BEGIN", "SET LOCAL a.b = 'c'", "SELECT 1"}, Effects{Answered: true}},
		{"one that Postgres has not accepted before", []string{"BEGIN", "SET LOCAL a.b = 'c'"}, []string{"BEGIN", "-"}, true, []string{"BEGIN"}, Effects{}},
		{"one in a failed block", []string{"BEGIN", "proven", "fail", "SET LOCAL a.b = 'c'"}, []string{"BEGIN", "-"}, true, []string{"BEGIN"}, Effects{}},
		{"one without a block", []string{"proven", "SET LOCAL a.b = 'c'"}, []string{"-"}, false, nil, Effects{}},
		{"one that is rolled back", []string{"BEGIN", "proven", "SET LOCAL a.b = 'c'", "SAVEPOINT s1", "SET LOCAL a.b = 'd'", "ROLLBACK TO s1"}, []string{"BEGIN", "SET", "SAVEPOINT", "SET", "ROLLBACK"}, true,
			[]string{"BEGIN", "SET LOCAL a.b = 'c'", "SAVEPOINT s1"}, Effects{Answered: true, Recovers: true}},
		{"those of a savepoint that is released", []string{"BEGIN", "proven", "SAVEPOINT s1", "SET LOCAL a.b = 'c'", "SAVEPOINT s2", "SET LOCAL a.b = 'd'", "RELEASE s1"},
			[]string{"BEGIN", "SAVEPOINT", "SET", "SAVEPOINT", "SET", "RELEASE"}, true, []string{"BEGIN", "SET LOCAL a.b = 'c'", "SET LOCAL a.b = 'd'"}, Effects{Answered: true}},
		{"those of the transaction before", []string{"BEGIN", "proven", "SET LOCAL a.b = 'c'", "COMMIT AND CHAIN"}, []string{"BEGIN", "SET", "COMMIT"}, true, []string{"BEGIN", "COMMIT AND CHAIN"}, Effects{Answered: true, Ends: true, Begins: true}},
	} {
		b, tags, last := performed(c.said...)
		last.Tag = ""
		if !slices.Equal(tags, c.tags) || b.Held != c.held || last != c.last {
			t.Errorf("%s: tags %q, held %v, effects %+v", c.name, tags, b.Held, last)
		}
		if !c.held {
			continue
		}
		if got := b.Statements(nil, false); !slices.Equal(got, c.statements) {
			t.Errorf("%s: Postgres would be told %q", c.name, got)
		}
		before := c.statements
		if n := len(before); before[n-1] == "SELECT 1" && !slices.ContainsFunc(before, func(s string) bool { return s == "SAVEPOINT s1" }) {
			before = before[:n-1]
		}
		if got := b.Statements(nil, true); !slices.Equal(got, before) {
			t.Errorf("%s: before a statement that takes a snapshot Postgres would be told %q", c.name, got)
		}
	}
}

// What the block refers to is that of one client, whatever it has said: savepoints are
// bounded.
func TestSavepointsAreBounded(t *testing.T) {
	t.Parallel()
	said := []string{"BEGIN"}
	for i := range StepsMax {
		said = append(said, "SAVEPOINT s"+strconv.Itoa(i))
	}
	if b, _, last := performed(said...); !last.Answered || len(b.Statements(nil, false)) != StepsMax+1 {
		t.Errorf("%d statements, %+v", len(b.Statements(nil, false)), last)
	}
	if b, _, last := performed(append(said, "SAVEPOINT more1")...); last.Answered || len(b.Statements(nil, false)) != StepsMax+1 {
		t.Errorf("one more: %d statements, %+v", len(b.Statements(nil, false)), last)
	}
}

// BEGIN and COMMIT cost no memory once a client has begun its first block.
func TestBlocksCostNoMemory(t *testing.T) {
	begin, commit := ParseControl("BEGIN"), ParseControl("COMMIT")
	var b Block
	turn := func() {
		b, _ = b.Perform(begin, "BEGIN", Standing{MayBegin: true})
		b, _ = b.Perform(commit, "COMMIT", Standing{})
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Errorf("a block allocates %v times", n)
	}
}
