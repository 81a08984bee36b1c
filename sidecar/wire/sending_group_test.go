package wire

import (
	"bytes"
	"cmp"
	"errors"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

const (
	stagedRead  = "SELECT name FROM item WHERE id = $1"
	stagedWrite = "UPDATE item SET name = 'new' WHERE id = 7"
	// stagedDated is one whose constants a setting decides about.
	stagedDated = "SELECT id FROM item WHERE made = '01/02/2024'"
)

// prepared has Postgres hold the statements that the groups below name: s reads, w writes.
func (s *staged) prepared() {
	s.prepare("s", stagedRead)
	s.prepare("w", stagedWrite)
}

// stands says of a name whether it is believed to stand.
func stands(name string, wanted bool) func(*staged) string {
	return func(s *staged) string {
		if (s.statements.Named([]byte(name)) != nil) != wanted {
			return "whether the statement " + name + " stands is believed wrong"
		}
		return ""
	}
}

// Each message of a group goes to Postgres as it came, and in its order; and Postgres owes one
// answer for each that has one.
func TestGroupsAreSent(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	tests := map[string]sendingTest{}
	for name, test := range map[string]struct {
		messages []byte
		writes   bool
		then     string // idle, owes, if empty
		says     string
		end      string // idle, if empty
		also     func(*staged) string
	}{
		"a Sync alone":               {messages: msgSync, says: "ZI"},
		"a named Parse":              {messages: join(msgParse("n", "SELECT 1"), msgSync), says: "1 ZI", also: stands("n", true)},
		"a named Parse that fails":   {messages: join(msgParse("n", "SELECT"), msgSync), says: "E42601 ZI", also: stands("n", false)},
		"an unnamed Parse":           {messages: join(msgParse("", "SELECT 1"), msgSync), says: "1 ZI", also: unnamedIs("is Postgres'")},
		"a Describe of a statement":  {messages: join(msgDescribe('S', "s"), msgSync), says: "t T ZI"},
		"one that gives no rows":     {messages: join(msgDescribe('S', "w"), msgSync), says: "t n ZI"},
		"a Bind and an Execute":      {messages: join(msgBind("s", "7"), execute, msgSync), says: "2 D CSELECT_1 ZI"},
		"described in between":       {messages: join(msgBind("s", "7"), msgDescribe('P', ""), execute, msgSync), says: "2 T D CSELECT_1 ZI"},
		"a few rows":                 {messages: join(msgBind("s", "7"), msgExecute("", 1), msgSync), says: "2 D s ZI"},
		"a few rows, twice":          {messages: join(msgBind("s", "7"), msgExecute("", 1), msgExecute("", 1), msgSync), says: "2 D s D CSELECT_1 ZI"},
		"an empty query":             {messages: join(msgParse("", ""), msgBind(""), execute, msgSync), says: "1 2 I ZI"},
		"two executions":             {messages: join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), says: "2 D CSELECT_1 2 D CSELECT_1 ZI"},
		"a Close of a statement":     {messages: join(msgClose('S', "s"), msgSync), says: "3 ZI", also: stands("s", false)},
		"a Close of a portal":        {messages: join(msgClose('P', "p"), msgSync), says: "3 ZI", also: stands("s", true)},
		"a Close that is skipped":    {messages: join(msgBind("nobody"), msgClose('S', "s"), msgSync), says: "E26000 ZI", also: stands("s", true)},
		"a Parse that is skipped":    {messages: join(msgBind("nobody"), msgParse("n", "SELECT 1"), msgSync), says: "E26000 ZI", also: stands("n", false)},
		"an Execute that is skipped": {messages: join(msgBind("s", "x"), execute, msgSync), says: "E22P02 ZI"},
		"an error behind rows":       {messages: join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), says: "2 D E22012 ZI"},
		"a notice":                   {messages: join(msgBind("s", "7"), execute, msgSync), says: "N 2 D CSELECT_1 ZI"},
		"a write":                    {messages: join(msgBind("w"), execute, msgSync), writes: true, says: "2 CUPDATE_1 ZI", end: "idle, soiled"},
		"a write that fails":         {messages: join(msgBind("w"), execute, msgSync), writes: true, says: "2 E23505 ZI", end: "idle, soiled"},
		"a Flush before the Sync":    {messages: join(msgBind("s", "7"), msgFlush, execute, msgSync), says: "2 D CSELECT_1 ZI"},
		"a part": {
			messages: join(msgBind("s", "7"), execute, msgFlush), then: "idle, owes, mid group", says: "2 D CSELECT_1", end: "idle, mid group",
		},
		"a part that writes": {
			messages: join(msgBind("w"), execute, msgFlush), writes: true, then: "idle, owes, mid group", says: "2 CUPDATE_1", end: "idle, mid group",
		},
	} {
		tests[name] = sendingTest{
			given: (*staged).prepared,
			do:    func(s *staged) error { return s.group(!test.writes, test.messages) },
			sent:  test.messages, then: cmp.Or(test.then, "idle, owes"), says: test.says, shown: test.says, end: cmp.Or(test.end, "idle"), also: test.also,
		}
	}
	doSending(t, tests)
}

// unnamedIs says of the unnamed statement whether it is whose it is to be.
func unnamedIs(want string) func(*staged) string {
	return func(s *staged) string {
		if got := s.unnamed(); got != want {
			return "the unnamed statement " + got + ", want: it " + want
		}
		return ""
	}
}

// What comes behind a part that was sent belongs to its group, and ends with its Sync. Behind an
// error Postgres skips it up to there, and what was believed of it is taken back.
func TestPartsAreSentAsOneGroup(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	part := join(msgBind("s", "7"), execute, msgFlush)
	doSending(t, map[string]sendingTest{
		"a Sync": {
			given: func(s *staged) { s.prepared(); mustSend(s, s.group(true, part)); s.hear("2 D CSELECT_1") },
			do:    func(s *staged) error { return s.group(true, msgSync) },
			sent:  msgSync, then: "idle, owes", says: "ZI", shown: "ZI", end: "idle",
		},
		"a Sync of the sidecar's own, for what was answered behind it": {
			given: func(s *staged) { s.prepared(); mustSend(s, s.group(true, part)); s.hear("2 D CSELECT_1") },
			do: func(s *staged) error {
				s.out = append(s.out, saying("2 D CSELECT_1")...)
				return s.endOpenGroup()
			},
			sent: msgSync, then: "idle, owes", says: "ZI", shown: "2 D CSELECT_1 ZI", end: "idle",
		},
		"behind a part that writes": {
			given: func(s *staged) {
				s.prepared()
				mustSend(s, s.group(false, msgBind("w"), execute, msgFlush))
				s.hear("2 CUPDATE_1")
			},
			do:   func(s *staged) error { return s.group(true, msgSync) },
			sent: msgSync, then: "idle, owes", says: "ZI", shown: "ZI", end: "idle, soiled",
		},
		"behind a part that failed": {
			given: func(s *staged) {
				s.prepared()
				mustSend(s, s.group(true, msgBind("nobody"), execute, msgFlush))
				s.hear("E26000")
			},
			do: func(s *staged) error {
				return s.group(true, msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync)
			},
			sent: join(msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync), then: "idle, owes",
			says: "ZI", shown: "ZI", end: "idle", also: stands("n", false),
		},
		"behind one that will fail": {
			given: func(s *staged) { s.prepared(); mustSend(s, s.group(true, msgBind("nobody"), execute, msgFlush)) },
			do: func(s *staged) error {
				return s.group(true, msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync)
			},
			sent: join(msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync), then: "idle, owes",
			says: "E26000 ZI", shown: "E26000 ZI", end: "idle", also: stands("n", false),
		},
		"the next group, behind one that will fail": {
			given: func(s *staged) { s.prepared(); mustSend(s, s.group(true, msgBind("nobody"), execute, msgSync)) },
			do:    func(s *staged) error { return s.group(true, msgParse("n", "SELECT 1"), msgSync) },
			sent:  join(msgParse("n", "SELECT 1"), msgSync), then: "idle, owes",
			says: "E26000 ZI 1 ZI", shown: "E26000 ZI 1 ZI", end: "idle", also: stands("n", true),
		},
	})
}

func mustSend(s *staged, err error) {
	s.t.Helper()
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// captureOf is a capture for an answer of a form.
func captureOf(form answer.Form) *answer.Capture {
	key := answer.Key{State: &digest.Digest{}, Form: form, Statement: &digest.Digest{}}
	return &answer.Capture{Key: key.AppendTo(nil), SizeMax: 1 << 10}
}

// Each want's answer goes to its own capture: rows, with the description that was asked for with
// them, and the description of a statement.
func TestGroupsAreCaptured(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	for name, test := range map[string]struct {
		messages []byte
		forms    []answer.Form
		says     string
		captured []string // by the forms; empty if the answer is not to be kept
	}{
		"rows":                      {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 D CSELECT_1 ZI", []string{"D CSELECT_1"}},
		"described rows":            {join(msgBind("s", "7"), msgDescribe('P', ""), execute, msgSync), []answer.Form{answer.Described}, "2 T D CSELECT_1 ZI", []string{"T D CSELECT_1"}},
		"a few of them":             {join(msgBind("s", "7"), msgExecute("", 1), msgSync), []answer.Form{answer.RowsLimited}, "2 D s ZI", []string{"D s"}},
		"a description":             {join(msgDescribe('S', "s"), msgSync), []answer.Form{answer.Description}, "t T ZI", []string{"t T"}},
		"a description and rows":    {join(msgDescribe('S', "s"), msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Description, answer.Rows}, "t T 2 D CSELECT_1 ZI", []string{"t T", "D CSELECT_1"}},
		"two":                       {join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), []answer.Form{answer.Rows, answer.Rows}, "2 D CSELECT_1 2 D D CSELECT_2 ZI", []string{"D CSELECT_1", "D D CSELECT_2"}},
		"rows with a notice":        {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 N D CSELECT_1 ZI", []string{""}},
		"rows of other settings":    {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 S D CSELECT_1 ZI", []string{""}},
		"rows before an error":      {join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), []answer.Form{answer.Rows, answer.Rows}, "2 D CSELECT_1 2 E22012 ZI", []string{"", ""}},
		"rows behind an empty text": {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 I ZI", []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			s.waits = make([]string, 100)
			s.prepared()
			s.sent, s.shown = nil, nil
			s.planGroup(test.messages)
			if len(s.plan.wants) != len(test.forms) {
				t.Fatalf("%d are wanted", len(s.plan.wants))
			}
			var all []*answer.Capture
			for i, form := range test.forms {
				all = append(all, captureOf(form))
				s.plan.wants[i].capture = all[i]
			}
			mustSend(s, s.forward(test.messages, true))
			s.hear(test.says)
			if want := saying(test.says); !bytes.Equal(s.sent, test.messages) || !bytes.Equal(s.shown, want) || s.talk.Owed() {
				t.Errorf("sent is %s, shown\n%s\n%s", showSent(s.sent), show(s.shown), s.standing())
			}
			for i, c := range all {
				got := c.Answer()
				if want := test.captured[i]; c.Whole() != (want != "") || want != "" && string(got.Description)+string(got.Body) != string(saying(want)) {
					t.Errorf("capture %d is whole: %v; it has\n%s\n%s", i, c.Whole(), show(got.Description), show(got.Body))
				}
			}
		})
	}
}

// What the client believes the unnamed statement to be, Postgres is given unseen before a message
// that names it.
func TestUnnamedStatementIsProvided(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	use := join(msgBind("", "7"), execute, msgSync)
	typed := msgParse("", stagedRead, oidInt4)
	here := func(s *staged) { s.answeredHere(stagedRead) }
	do := func(s *staged) error { return s.group(true, use) }
	told := func(s *staged) {
		s.answeredHere(stagedRead).Told.Store(description.Heard('T', []byte{0, 0}, oneInteger).As(false))
	}
	confirm := join(msgDescribe('S', ""), msgFlush)
	const nobody = "freshet changed"
	doSending(t, map[string]sendingTest{
		"it was answered here": {
			given: here, do: do, sent: join(msgParse("", stagedRead), use), then: "idle, owes",
			says: "1 2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"Postgres refuses it": {
			given: here, do: do, sent: join(msgParse("", stagedRead), use), then: "idle, owes",
			says: "E42P01 ZI", shown: "E42P01 ZI", end: "idle", also: unnamedIs("is the client's alone"),
		},
		"Postgres has it": {
			given: func(s *staged) { s.prepare("", stagedRead) }, do: do, sent: use, then: "idle, owes",
			says: "2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"Postgres has another": {
			given: func(s *staged) { s.prepare("", "SELECT 2"); here(s) }, do: do, sent: join(msgParse("", stagedRead), use), then: "idle, owes",
			says: "1 2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"Postgres has one, and the client none": {
			given: func(s *staged) { s.prepare("", stagedRead); s.statements.SimpleQuery(statements.AnsweredHere) },
			do:    do, sent: join(msgClose('S', ""), use), then: "idle, owes",
			says: "3 E26000 ZI", shown: "E26000 ZI", end: "idle", also: unnamedIs("is none"),
		},
		"it is on its way": {
			given: here,
			do:    func(s *staged) error { return errors.Join(s.group(true, use), s.group(true, use)) },
			sent:  join(msgParse("", stagedRead), use, use), then: "idle, owes",
			says: "1 2 D CSELECT_1 ZI 2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI 2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"only described": {
			given: here,
			do:    func(s *staged) error { return s.group(true, msgDescribe('S', ""), msgSync) },
			sent:  join(msgParse("", stagedRead), msgDescribe('S', ""), msgSync), then: "idle, owes",
			says: "1 t T ZI", shown: "t T ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"it was described here, and is what it was told to be": {
			given: told, do: do, waits: []string{"1 t1 T"}, sent: join(typed, confirm, use), then: "idle, owes",
			says: "2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"it was described here, and gives other columns": {
			given: told, do: do, waits: []string{"1 t1 n"},
			sent: join(typed, confirm, binding{statement: nobody}.message(), execute, msgSync), then: "idle, owes",
			says: "E26000 ZI", shown: "E0A000 ZI", end: "idle", also: unnamedIs("is another one for Postgres"),
		},
		"it was described here, and is refused": {
			given: told, do: do, waits: []string{"E42P01"}, sent: join(typed, confirm, use), then: "idle, owes",
			says: "ZI", shown: "E42P01 ZI", end: "idle", also: unnamedIs("is the client's alone"),
		},
		"it was described here, is described again, and gives other columns": {
			given: told,
			do:    func(s *staged) error { return s.group(true, msgDescribe('S', ""), msgSync) },
			waits: []string{"1 t1 n"},
			sent:  join(typed, confirm, msgDescribe('S', nobody), msgSync), then: "idle, owes",
			says: "E26000 ZI", shown: "t1 E0A000 ZI", end: "idle", also: unnamedIs("is another one for Postgres"),
		},
	})
}
