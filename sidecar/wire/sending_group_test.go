package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

const (
	stagedRead  = "SELECT name FROM item WHERE id = $1"
	stagedWrite = "UPDATE item SET name = 'new' WHERE id = 7"
	// stagedDated has a constant that the setting DateStyle decides about.
	stagedDated = "SELECT id FROM item WHERE made = '01/02/2024'"
)

// prepareReadAndWrite has Postgres hold two prepared statements: s reads, w writes.
func (s *staged) prepareReadAndWrite() {
	s.prepare("s", stagedRead)
	s.prepare("w", stagedWrite)
}

// statementStands checks whether the session believes that Postgres holds a statement of that name.
func statementStands(name string, wanted bool) func(*staged) string {
	return func(s *staged) string {
		if stands := s.statements.Named([]byte(name)) != nil; stands != wanted {
			return fmt.Sprintf("the statement %s is believed to stand: %v, want %v", name, stands, wanted)
		}
		return ""
	}
}

// The messages of a group go to Postgres as they came, in their order, and the session expects the
// answers that Postgres gives to them, no more and no fewer.
func TestGroupsAreSentAsTheyCame(t *testing.T) {
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
		"a Sync alone":                         {messages: msgSync, says: "ZI"},
		"a named Parse":                        {messages: join(msgParse("n", "SELECT 1"), msgSync), says: "1 ZI", also: statementStands("n", true)},
		"a named Parse that fails":             {messages: join(msgParse("n", "SELECT"), msgSync), says: "E42601 ZI", also: statementStands("n", false)},
		"an unnamed Parse":                     {messages: join(msgParse("", "SELECT 1"), msgSync), says: "1 ZI", also: unnamedIs("is Postgres'")},
		"a Describe of a statement":            {messages: join(msgDescribe('S', "s"), msgSync), says: "t T ZI"},
		"a Describe of a write":                {messages: join(msgDescribe('S', "w"), msgSync), says: "t n ZI"},
		"a Bind and an Execute":                {messages: join(msgBind("s", "7"), execute, msgSync), says: "2 D CSELECT_1 ZI"},
		"a Bind, a Describe and an Execute":    {messages: join(msgBind("s", "7"), msgDescribe('P', ""), execute, msgSync), says: "2 T D CSELECT_1 ZI"},
		"an Execute of one row":                {messages: join(msgBind("s", "7"), msgExecute("", 1), msgSync), says: "2 D s ZI"},
		"two Executes of one row each":         {messages: join(msgBind("s", "7"), msgExecute("", 1), msgExecute("", 1), msgSync), says: "2 D s D CSELECT_1 ZI"},
		"an empty query":                       {messages: join(msgParse("", ""), msgBind(""), execute, msgSync), says: "1 2 I ZI"},
		"two Binds, each with an Execute":      {messages: join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), says: "2 D CSELECT_1 2 D CSELECT_1 ZI"},
		"a Close of a statement":               {messages: join(msgClose('S', "s"), msgSync), says: "3 ZI", also: statementStands("s", false)},
		"a Close of a portal":                  {messages: join(msgClose('P', "p"), msgSync), says: "3 ZI", also: statementStands("s", true)},
		"a Close that is skipped":              {messages: join(msgBind("nobody"), msgClose('S', "s"), msgSync), says: "E26000 ZI", also: statementStands("s", true)},
		"a Parse that is skipped":              {messages: join(msgBind("nobody"), msgParse("n", "SELECT 1"), msgSync), says: "E26000 ZI", also: statementStands("n", false)},
		"an Execute that is skipped":           {messages: join(msgBind("s", "x"), execute, msgSync), says: "E22P02 ZI"},
		"an Execute that fails behind another": {messages: join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), says: "2 D E22012 ZI"},
		"a notice before the answers":          {messages: join(msgBind("s", "7"), execute, msgSync), says: "N 2 D CSELECT_1 ZI"},
		"a write":                              {messages: join(msgBind("w"), execute, msgSync), writes: true, says: "2 CUPDATE_1 ZI", end: "idle, soiled"},
		"a write that fails":                   {messages: join(msgBind("w"), execute, msgSync), writes: true, says: "2 E23505 ZI", end: "idle, soiled"},
		"a Flush before the Sync":              {messages: join(msgBind("s", "7"), msgFlush, execute, msgSync), says: "2 D CSELECT_1 ZI"},
		"a part": {
			messages: join(msgBind("s", "7"), execute, msgFlush), then: "idle, owes, mid group", says: "2 D CSELECT_1", end: "idle, mid group",
		},
		"a part that writes": {
			messages: join(msgBind("w"), execute, msgFlush), writes: true, then: "idle, owes, mid group", says: "2 CUPDATE_1", end: "idle, mid group",
		},
	} {
		tests[name] = sendingTest{
			given: (*staged).prepareReadAndWrite,
			do:    func(s *staged) error { return s.group(!test.writes, test.messages) },
			sent:  test.messages, then: cmp.Or(test.then, "idle, owes"), says: test.says, shown: test.says, end: cmp.Or(test.end, "idle"), also: test.also,
		}
	}
	runSendingTests(t, tests)
}

// unnamedIs checks whose the session believes the unnamed statement to be, in the words of unnamed.
func unnamedIs(want string) func(*staged) string {
	return func(s *staged) string {
		if got := s.unnamed(); got != want {
			return "the unnamed statement " + got + ", want: " + want
		}
		return ""
	}
}

// Messages behind a part that was sent belong to the part's group, which ends with the next Sync.
// Behind an error Postgres skips them up to that Sync, and what the session believed of their names
// is taken back.
func TestPartsAreSentAsOneGroup(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	part := join(msgBind("s", "7"), execute, msgFlush)
	runSendingTests(t, map[string]sendingTest{
		"a Sync behind a part": {
			given: func(s *staged) { s.prepareReadAndWrite(); mustSend(s, s.group(true, part)); s.hear("2 D CSELECT_1") },
			do:    func(s *staged) error { return s.group(true, msgSync) },
			sent:  msgSync, then: "idle, owes", says: "ZI", shown: "ZI", end: "idle",
		},
		"a Sync of the sidecar's own, as it has answered the rest of the group": {
			given: func(s *staged) { s.prepareReadAndWrite(); mustSend(s, s.group(true, part)); s.hear("2 D CSELECT_1") },
			do: func(s *staged) error {
				s.out = append(s.out, saying("2 D CSELECT_1")...)
				return s.endOpenGroup()
			},
			sent: msgSync, then: "idle, owes", says: "ZI", shown: "2 D CSELECT_1 ZI", end: "idle",
		},
		"a Sync behind a part that writes": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.group(false, msgBind("w"), execute, msgFlush))
				s.hear("2 CUPDATE_1")
			},
			do:   func(s *staged) error { return s.group(true, msgSync) },
			sent: msgSync, then: "idle, owes", says: "ZI", shown: "ZI", end: "idle, soiled",
		},
		"messages behind a part that has failed": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.group(true, msgBind("nobody"), execute, msgFlush))
				s.hear("E26000")
			},
			do: func(s *staged) error {
				return s.group(true, msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync)
			},
			sent: join(msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync), then: "idle, owes",
			says: "ZI", shown: "ZI", end: "idle", also: statementStands("n", false),
		},
		"messages behind a part that will fail": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.group(true, msgBind("nobody"), execute, msgFlush))
			},
			do: func(s *staged) error {
				return s.group(true, msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync)
			},
			sent: join(msgParse("n", "SELECT 1"), msgBind("s", "7"), execute, msgSync), then: "idle, owes",
			says: "E26000 ZI", shown: "E26000 ZI", end: "idle", also: statementStands("n", false),
		},
		"a group behind a group that will fail": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.group(true, msgBind("nobody"), execute, msgSync))
			},
			do:   func(s *staged) error { return s.group(true, msgParse("n", "SELECT 1"), msgSync) },
			sent: join(msgParse("n", "SELECT 1"), msgSync), then: "idle, owes",
			says: "E26000 ZI 1 ZI", shown: "E26000 ZI 1 ZI", end: "idle", also: statementStands("n", true),
		},
	})
}

// mustSend has the session flush what it has gathered, after a call that returned err.
func mustSend(s *staged, err error) {
	s.t.Helper()
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// captureOf makes an empty capture for an answer of a form.
func captureOf(form answer.Form) *answer.Capture {
	key := answer.Key{State: &digest.Digest{}, Form: form, Statement: &digest.Digest{}}
	return &answer.Capture{Key: key.AppendTo(nil), SizeMax: 1 << 10}
}

// The answer of each want goes to the want's own capture: rows, with their description if a Describe
// of the portal came before, or the description of a statement. An answer that must not be kept
// leaves its capture incomplete.
func TestEachWantOfAGroupHasItsOwnCapture(t *testing.T) {
	t.Parallel()
	execute := msgExecute("", 0)
	for name, test := range map[string]struct {
		messages []byte
		forms    []answer.Form
		says     string
		captured []string // the captured answer of each of forms; empty if it must not be kept
	}{
		"rows":                          {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 D CSELECT_1 ZI", []string{"D CSELECT_1"}},
		"described rows":                {join(msgBind("s", "7"), msgDescribe('P', ""), execute, msgSync), []answer.Form{answer.Described}, "2 T D CSELECT_1 ZI", []string{"T D CSELECT_1"}},
		"rows up to a limit":            {join(msgBind("s", "7"), msgExecute("", 1), msgSync), []answer.Form{answer.RowsLimited}, "2 D s ZI", []string{"D s"}},
		"a description":                 {join(msgDescribe('S', "s"), msgSync), []answer.Form{answer.Description}, "t T ZI", []string{"t T"}},
		"a description and rows":        {join(msgDescribe('S', "s"), msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Description, answer.Rows}, "t T 2 D CSELECT_1 ZI", []string{"t T", "D CSELECT_1"}},
		"two reads":                     {join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), []answer.Form{answer.Rows, answer.Rows}, "2 D CSELECT_1 2 D D CSELECT_2 ZI", []string{"D CSELECT_1", "D D CSELECT_2"}},
		"rows with a notice":            {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 N D CSELECT_1 ZI", []string{""}},
		"rows with a changed setting":   {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 S D CSELECT_1 ZI", []string{""}},
		"rows before an error":          {join(msgBind("s", "7"), execute, msgBind("s", "8"), execute, msgSync), []answer.Form{answer.Rows, answer.Rows}, "2 D CSELECT_1 2 E22012 ZI", []string{"", ""}},
		"an empty text instead of rows": {join(msgBind("s", "7"), execute, msgSync), []answer.Form{answer.Rows}, "2 I ZI", []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			s.waits = make([]string, 100)
			s.prepareReadAndWrite()
			s.sent, s.shown = nil, nil
			s.planGroup(test.messages)
			if len(s.plan.wants) != len(test.forms) {
				t.Fatalf("the plan has %d wants, want %d", len(s.plan.wants), len(test.forms))
			}
			var all []*answer.Capture
			for i, form := range test.forms {
				all = append(all, captureOf(form))
				s.plan.wants[i].capture = all[i]
			}
			mustSend(s, s.forward(test.messages, true))
			s.hear(test.says)
			if want := saying(test.says); !bytes.Equal(s.sent, test.messages) || !bytes.Equal(s.shown, want) || s.talk.Owed() {
				t.Errorf("Postgres is sent %s, want %s; the client is shown\n%s\nwant\n%s\nthe session is %s", showSent(s.sent), showSent(test.messages), show(s.shown), show(want), s.standing())
			}
			for i, c := range all {
				got := c.Answer()
				if want := test.captured[i]; c.Whole() != (want != "") || want != "" && string(got.Description)+string(got.Body) != string(saying(want)) {
					t.Errorf("capture %d is whole: %v, and has\n%s\n%s\nwant %q, whole if that is not empty", i, c.Whole(), show(got.Description), show(got.Body), want)
				}
			}
		})
	}
}

// Where the sidecar has answered the Parse of the unnamed statement itself, Postgres is sent that
// Parse, unseen by the client, before a message that uses the statement.
func TestPostgresHasTheUnnamedStatementBeforeItsUse(t *testing.T) {
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
	runSendingTests(t, map[string]sendingTest{
		"the Parse was answered here": {
			given: here, do: do, sent: join(msgParse("", stagedRead), use), then: "idle, owes",
			says: "1 2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"the Parse was answered here, and Postgres refuses it": {
			given: here, do: do, sent: join(msgParse("", stagedRead), use), then: "idle, owes",
			says: "E42P01 ZI", shown: "E42P01 ZI", end: "idle", also: unnamedIs("is the client's alone"),
		},
		"Postgres has the statement": {
			given: func(s *staged) { s.prepare("", stagedRead) }, do: do, sent: use, then: "idle, owes",
			says: "2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"Postgres has another statement": {
			given: func(s *staged) { s.prepare("", "SELECT 2"); here(s) }, do: do, sent: join(msgParse("", stagedRead), use), then: "idle, owes",
			says: "1 2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"Postgres has a statement, and the client none": {
			given: func(s *staged) { s.prepare("", stagedRead); s.statements.SimpleQuery(statements.AnsweredHere) },
			do:    do, sent: join(msgClose('S', ""), use), then: "idle, owes",
			says: "3 E26000 ZI", shown: "E26000 ZI", end: "idle", also: unnamedIs("is none"),
		},
		"the Parse has been sent, and is not answered": {
			given: here,
			do:    func(s *staged) error { return errors.Join(s.group(true, use), s.group(true, use)) },
			sent:  join(msgParse("", stagedRead), use, use), then: "idle, owes",
			says: "1 2 D CSELECT_1 ZI 2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI 2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"the statement is only described": {
			given: here,
			do:    func(s *staged) error { return s.group(true, msgDescribe('S', ""), msgSync) },
			sent:  join(msgParse("", stagedRead), msgDescribe('S', ""), msgSync), then: "idle, owes",
			says: "1 t T ZI", shown: "t T ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"its description was answered here, and Postgres gives the same": {
			given: told, do: do, waits: []string{"1 t1 T"}, sent: join(typed, confirm, use), then: "idle, owes",
			says: "2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is Postgres'"),
		},
		"its description was answered here, and Postgres gives other columns": {
			given: told, do: do, waits: []string{"1 t1 n"},
			sent: join(typed, confirm, binding{statement: nobody}.message(), execute, msgSync), then: "idle, owes",
			says: "E26000 ZI", shown: "E0A000 ZI", end: "idle", also: unnamedIs("is another one for Postgres"),
		},
		"its description was answered here, and Postgres refuses the Parse": {
			given: told, do: do, waits: []string{"E42P01"}, sent: join(typed, confirm, use), then: "idle, owes",
			says: "ZI", shown: "E42P01 ZI", end: "idle", also: unnamedIs("is the client's alone"),
		},
		"its description was answered here, is asked for again, and has other columns": {
			given: told,
			do:    func(s *staged) error { return s.group(true, msgDescribe('S', ""), msgSync) },
			waits: []string{"1 t1 n"},
			sent:  join(typed, confirm, msgDescribe('S', nobody), msgSync), then: "idle, owes",
			says: "E26000 ZI", shown: "t1 E0A000 ZI", end: "idle", also: unnamedIs("is another one for Postgres"),
		},
	})
}
