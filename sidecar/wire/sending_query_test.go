package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// A Query goes to Postgres as it came. What is known of it says what counts as known behind it.
func TestQueriesAreSent(t *testing.T) {
	t.Parallel()
	const write = "UPDATE item SET name = 'new' WHERE id = 7"
	loading := &answer.Capture{SizeMax: 1 << 10}
	doSending(t, map[string]sendingTest{
		"a read": {
			do:   func(s *staged) error { return s.query("SELECT 1", true) },
			sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle",
		},
		"a write": {
			do:   func(s *staged) error { return s.query(write, false) },
			sent: msgQuery(write), then: "idle, owes",
			says: "CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled",
		},
		"a write of which is known what it writes": {
			do: func(s *staged) error {
				s.planQuery([]byte(write), true)
				return s.forwardQuery(msgQuery(write), passage{harmless: true, writes: &shapes.Effect{}}, nil)
			},
			sent: msgQuery(write), then: "idle, owes",
			says: "CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle",
		},
		"one that fails": {
			do:   func(s *staged) error { return s.query("SELECT 1/0", true) },
			sent: msgQuery("SELECT 1/0"), then: "idle, owes",
			says: "T E22012 ZI", shown: "T E22012 ZI", end: "idle",
		},
		"a BEGIN that is not held back": {
			do:   func(s *staged) error { return s.query("BEGIN", false) },
			sent: msgQuery("BEGIN"), then: "idle, owes",
			says: "CBEGIN ZT", shown: "CBEGIN ZT", end: "in a transaction",
		},
		"a setting that comes with its answer": {
			do:   func(s *staged) error { return s.query("SELECT 1", true) },
			sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "S T D CSELECT_1 ZI", shown: "S T D CSELECT_1 ZI", end: "idle, soiled",
		},
		"what ends prepared statements": {
			do:   func(s *staged) error { return s.query("DISCARD ALL", false) },
			sent: msgQuery("DISCARD ALL"), then: "idle, owes",
			says: "CDISCARD_ALL ZI", shown: "CDISCARD_ALL ZI", end: "idle, soiled, names doubtful",
		},
		"one that ends a statement by its name": {
			given: func(s *staged) { s.prepare("s", "SELECT 1") },
			do:    func(s *staged) error { return s.forwardDeallocate(msgQuery("DEALLOCATE s"), "s") },
			sent:  msgQuery("DEALLOCATE s"), then: "idle, owes",
			says: "CDEALLOCATE ZI", shown: "CDEALLOCATE ZI", end: "idle",
			also: func(s *staged) string {
				if s.statements.Named([]byte("s")) != nil {
					return "the statement is believed to stand"
				}
				return ""
			},
		},
		"a load": {
			do: func(s *staged) error {
				s.planQuery([]byte("SELECT 1"), true)
				s.plan.wants[0].capture = loading
				return s.forward(msgQuery("SELECT 1"), true)
			},
			sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle",
			also: func(s *staged) string {
				switch {
				case len(s.ended) != 1 || s.ended[0] != loading || !loading.Whole():
					return "its answer is not captured"
				case string(loading.Answer().Description)+string(loading.Answer().Body) != string(saying("T D CSELECT_1")):
					return "another answer is captured"
				case s.plan.wants[0].capture != nil:
					return "the plan goes on to hold the capture"
				}
				return ""
			},
		},
		"two without waiting": {
			do: func(s *staged) error {
				if err := s.query("SELECT 1", true); err != nil {
					return err
				}
				return s.query(write, false)
			},
			sent: join(msgQuery("SELECT 1"), msgQuery(write)), then: "idle, owes",
			says: "T D CSELECT_1 ZI CUPDATE_1 ZI", shown: "T D CSELECT_1 ZI CUPDATE_1 ZI", end: "idle, soiled",
		},
		"a function call": {
			do:   func(s *staged) error { return s.forwardQuery(msgCall(2078, "DateStyle"), passage{}, nil) },
			sent: msgCall(2078, "DateStyle"), then: "idle, owes",
			says: "V ZI", shown: "V ZI", end: "idle, soiled",
		},
	})
}

// A Query ends the unnamed statement, the client's and Postgres', and gives it back if Postgres
// skips the Query.
func TestQueryEndsTheUnnamedStatement(t *testing.T) {
	t.Parallel()
	read := func(s *staged) error { return s.query("SELECT 1", true) }
	doSending(t, map[string]sendingTest{
		"of Postgres": {
			given: func(s *staged) { s.prepare("", "SELECT 2") },
			do:    read, sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle", also: unnamedIs("is none"),
		},
		"one that was answered here": {
			given: func(s *staged) { s.answeredHere("SELECT 2") },
			do:    read, sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle", also: unnamedIs("is none"),
		},
		"behind a group that fails before its Sync": {
			given: func(s *staged) { s.prepare("", "SELECT 2") },
			do: func(s *staged) error {
				if err := s.group(false, msgBind("nobody"), msgExecute("", 0), msgFlush); err != nil {
					return err
				}
				return s.query("SELECT 1", true)
			},
			sent: join(msgBind("nobody"), msgExecute("", 0), msgFlush, msgQuery("SELECT 1")), then: "idle, owes",
			says: "E26000", shown: "E26000", end: "idle", also: unnamedIs("is Postgres'"),
		},
	})
}

// unnamed tells whose the unnamed statement is.
func (s *staged) unnamed() string {
	switch p := s.statements.Unnamed(); {
	case p == nil && s.statements.Holds(nil):
		return "is none"
	case p == nil:
		return "is none of the client's"
	case s.statements.Holds(p):
		return "is Postgres'"
	case s.statements.Holds(nil):
		return "is the client's alone"
	default:
		return "is another one for Postgres"
	}
}

// What is longer than the buffer is sent from its beginning on, for what it is by its first
// message: nothing is known of it.
func TestBeginningsOfLongMessagesAreSent(t *testing.T) {
	t.Parallel()
	cut := func(message []byte) []byte { return message[:len(message)-1] }
	tests := map[string]sendingTest{}
	for name, test := range map[string]struct {
		message                []byte
		then, says, shown, end string
	}{
		"Query":        {msgQuery("SELECT 1"), "idle, owes", "CSELECT_1 ZI", "CSELECT_1 ZI", "idle, soiled"},
		"FunctionCall": {msgCall(2078, "DateStyle"), "idle, owes", "V ZI", "V ZI", "idle, soiled"},
		"Parse":        {msgParse("s", "SELECT 1"), "idle, owes, mid group", "1", "1", "idle, mid group"},
		"Bind":         {msgBind("s"), "idle, owes, mid group", "2", "2", "idle, mid group"},
		"Describe":     {msgDescribe('S', "s"), "idle, owes, mid group", "t T", "t T", "idle, mid group"},
		"Execute":      {msgExecute("p", 0), "idle, owes, mid group", "D CSELECT_1", "D CSELECT_1", "idle, mid group"},
		"Close":        {msgClose('S', "s"), "idle, owes, mid group", "3", "3", "idle, mid group"},
		"CopyData":     {msgCopyData("1\ta\n"), "idle", "", "", "idle"},
		"CopyFail":     {msgCopyFail("why"), "idle", "", "", "idle"},
	} {
		tests[name] = sendingTest{
			do:   func(s *staged) error { return s.forwardLong(cut(test.message)) },
			sent: cut(test.message), then: test.then, says: test.says, shown: test.shown, end: test.end,
		}
	}
	doSending(t, tests)
}

// That a message longer than the buffer has succeeded says nothing of the setting that was refused
// before it.
func TestLongQueryProvesNoSetting(t *testing.T) {
	t.Parallel()
	const setting = "SET LOCAL statement_timeout = '1 parsec'"
	proof, _ := proofOf(&block.ParseControl(setting).Settings[0])
	doSending(t, map[string]sendingTest{"a long Query behind a setting": {
		given: func(s *staged) { mustSend(s, s.query(setting, false)); s.hear("E22023 ZI") },
		do:    func(s *staged) error { return s.forwardLong(msgQuery(stagedWrite)) },
		sent:  msgQuery(stagedWrite), then: "idle, owes",
		says: "CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled",
		also: func(s *staged) string {
			if _, known := s.proven.find(proof); known {
				return "the setting is believed to be accepted"
			}
			return ""
		},
	}})
}

// Answers that were gathered are the client's before Postgres hears what came behind them.
func TestAnswersStayBeforeWhatIsSentBehindThem(t *testing.T) {
	t.Parallel()
	s := newStaged(t)
	s.out = append(s.out, saying("CSELECT_1 ZI")...)
	if err := s.query("SELECT 2", true); err != nil {
		t.Fatal(err)
	}
	if want := saying("CSELECT_1 ZI"); string(s.shown) != string(want) || len(s.sent) > 0 || len(s.out) > 0 {
		t.Errorf("the client is shown %q, and Postgres sent %q", s.shown, s.sent)
	}
	s.waits = []string{"T D CSELECT_1 ZI"}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	if want := saying("CSELECT_1 ZI T D CSELECT_1 ZI"); string(s.shown) != string(want) {
		t.Errorf("the client is shown\n%s", show(s.shown))
	}
	if s.talk.TransactionStatus() != protocol.StatusIdle || s.talk.Owed() {
		t.Error(s.standing())
	}
}
