package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// A Query goes to Postgres as it came. Behind it the session's state counts as known only if the
// sidecar knows that the Query changes no setting.
func TestQueriesAreSentAsTheyCame(t *testing.T) {
	t.Parallel()
	const write = "UPDATE item SET name = 'new' WHERE id = 7"
	loading := &answer.Capture{SizeMax: 1 << 10}
	runSendingTests(t, map[string]sendingTest{
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
		"a write whose effect is known": {
			do: func(s *staged) error {
				s.planQuery([]byte(write), true)
				return s.forwardQuery(msgQuery(write), passage{harmless: true, writes: &shapes.Effect{}}, nil)
			},
			sent: msgQuery(write), then: "idle, owes",
			says: "CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle",
		},
		"a read that fails": {
			do:   func(s *staged) error { return s.query("SELECT 1/0", true) },
			sent: msgQuery("SELECT 1/0"), then: "idle, owes",
			says: "T E22012 ZI", shown: "T E22012 ZI", end: "idle",
		},
		"a BEGIN that is not held back": {
			do:   func(s *staged) error { return s.query("BEGIN", false) },
			sent: msgQuery("BEGIN"), then: "idle, owes",
			says: "CBEGIN ZT", shown: "CBEGIN ZT", end: "in a transaction",
		},
		"a read whose answer reports a changed setting": {
			do:   func(s *staged) error { return s.query("SELECT 1", true) },
			sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "S T D CSELECT_1 ZI", shown: "S T D CSELECT_1 ZI", end: "idle, soiled",
		},
		"a DISCARD ALL": {
			do:   func(s *staged) error { return s.query("DISCARD ALL", false) },
			sent: msgQuery("DISCARD ALL"), then: "idle, owes",
			says: "CDISCARD_ALL ZI", shown: "CDISCARD_ALL ZI", end: "idle, soiled, names doubtful",
		},
		"a DEALLOCATE": {
			given: func(s *staged) { s.prepare("s", "SELECT 1") },
			do:    func(s *staged) error { return s.forwardDeallocate(msgQuery("DEALLOCATE s"), "s") },
			sent:  msgQuery("DEALLOCATE s"), then: "idle, owes",
			says: "CDEALLOCATE ZI", shown: "CDEALLOCATE ZI", end: "idle",
			also: func(s *staged) string {
				if s.statements.Named([]byte("s")) != nil {
					return "the statement s is believed to stand, want that it has gone"
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
					return "the capture has not ended as a whole answer"
				case string(loading.Answer().Description)+string(loading.Answer().Body) != string(saying("T D CSELECT_1")):
					return "the capture holds another answer than Postgres gave"
				case s.plan.wants[0].capture != nil:
					return "the plan still holds the capture"
				}
				return ""
			},
		},
		"two Queries without waiting": {
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

// A Query ends the unnamed statement, both for the client and in Postgres. If Postgres skips the
// Query, the statement stands again.
func TestQueryEndsTheUnnamedStatement(t *testing.T) {
	t.Parallel()
	read := func(s *staged) error { return s.query("SELECT 1", true) }
	runSendingTests(t, map[string]sendingTest{
		"a statement that Postgres has": {
			given: func(s *staged) { s.prepare("", "SELECT 2") },
			do:    read, sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle", also: unnamedIs("is none"),
		},
		"a statement whose Parse was answered here": {
			given: func(s *staged) { s.answeredHere("SELECT 2") },
			do:    read, sent: msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle", also: unnamedIs("is none"),
		},
		"no statement, if Postgres skips the Query behind a failed part": {
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

// unnamed says, behind the words "the unnamed statement", whose the session believes it to be.
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

// Of a message that is longer than the buffer, the beginning is sent as soon as the buffer is full.
// By its kind alone the session knows which answer Postgres owes; of its contents it knows nothing.
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
	runSendingTests(t, tests)
}

// Postgres refused a setting, and then executed a Query longer than the buffer. Its success is no
// proof that the setting is accepted.
func TestLongQueryProvesNoSetting(t *testing.T) {
	t.Parallel()
	const setting = "SET LOCAL statement_timeout = '1 parsec'"
	proof, _ := proofOf(&block.ParseControl(setting).Settings[0])
	runSendingTests(t, map[string]sendingTest{"a long Query behind a setting": {
		given: func(s *staged) { mustSend(s, s.query(setting, false)); s.hear("E22023 ZI") },
		do:    func(s *staged) error { return s.forwardLong(msgQuery(stagedWrite)) },
		sent:  msgQuery(stagedWrite), then: "idle, owes",
		says: "CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled",
		also: func(s *staged) string {
			if _, known := s.proven.find(proof); known {
				return "the session has a proof that Postgres accepts the setting, want none"
			}
			return ""
		},
	}})
}

// Answers of the sidecar that are still gathered reach the client before Postgres is sent the next
// message, and so before Postgres can answer it.
func TestGatheredAnswersReachTheClientBeforeTheNextMessageIsSent(t *testing.T) {
	t.Parallel()
	s := newStaged(t)
	s.out = append(s.out, saying("CSELECT_1 ZI")...)
	if err := s.query("SELECT 2", true); err != nil {
		t.Fatal(err)
	}
	if want := saying("CSELECT_1 ZI"); string(s.shown) != string(want) || len(s.sent) > 0 || len(s.out) > 0 {
		t.Errorf("the client is shown %q, want %q; Postgres is sent %q, and %q is still gathered, want nothing of either", s.shown, want, s.sent, s.out)
	}
	s.waits = []string{"T D CSELECT_1 ZI"}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	if want := saying("CSELECT_1 ZI T D CSELECT_1 ZI"); string(s.shown) != string(want) {
		t.Errorf("the client is shown\n%s\nwant\n%s", show(s.shown), show(want))
	}
	if s.talk.TransactionStatus() != protocol.StatusIdle || s.talk.Owed() {
		t.Errorf("the session is %s, want idle", s.standing())
	}
}
