package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A held block is opened in one group with the first statement that has to run in the transaction:
// if the BEGIN fails, Postgres skips the statement. Where Postgres might not skip the statement, the
// BEGIN is sent and answered before it.
func TestHeldBlockIsOpenedByTheFirstStatementThatNeedsIt(t *testing.T) {
	t.Parallel()
	const (
		isolation = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
		copies    = "COPY item FROM STDIN"
		timeout   = "SET LOCAL lock_timeout = '1s'"
		vain      = "SELECT 'a statement of this transaction has failed before its BEGIN arrived'::pg_catalog.int4"
	)
	held := func(texts ...string) func(*staged) { return func(s *staged) { s.beginBlock(texts...) } }
	hasRead := func(texts ...string) func(*staged) {
		return func(s *staged) { s.beginBlock(texts...); s.block.Read = true }
	}
	write := func(s *staged) error { return s.query(stagedWrite, false) }
	copying := func(s *staged) error { return s.query(copies, false) }
	writeGroup := join(msgParse("", stagedWrite), msgBind(""), msgExecute("", 0), msgSync)
	clear := join(msgClose('S', "freshet begin"), msgSync)
	along := join(openingOf("BEGIN"), msgQuery(stagedWrite), msgSync)
	runSendingTests(t, map[string]sendingTest{
		"with a Query": {
			given: held("BEGIN"), do: write, sent: along, then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 CUPDATE_1 ZT ZT", shown: "CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"with a Query that reads": {
			given: held("BEGIN READ ONLY"), do: func(s *staged) error { return s.query("SELECT now()", true) },
			sent: join(openingOf("BEGIN READ ONLY"), msgQuery("SELECT now()"), msgSync), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 T D CSELECT_1 ZT ZT", shown: "T D CSELECT_1 ZT", end: "in a transaction",
		},
		"with a group": {
			given: held("BEGIN"), do: func(s *staged) error { return s.group(false, writeGroup) },
			sent: join(openingOf("BEGIN"), writeGroup), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 1 2 CUPDATE_1 ZT", shown: "1 2 CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"with a savepoint and a setting that were held back too": {
			given: held("BEGIN", "SAVEPOINT a1", timeout), do: write,
			sent: join(openingOf("BEGIN", "SAVEPOINT a1", timeout), msgQuery(stagedWrite), msgSync), then: "idle, owes, opening",
			says:  "1 2 CBEGIN 3 3 1 2 CSAVEPOINT 3 3 1 2 CSET 3 3 CUPDATE_1 ZT ZT",
			shown: "CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"behind a cached read, with a statement that takes a snapshot": {
			given: hasRead("BEGIN"), do: write, sent: along, then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 CUPDATE_1 ZT ZT", shown: "CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"behind a cached read, with a statement that takes no snapshot": {
			given: hasRead("BEGIN"), do: func(s *staged) error { return s.query(isolation, false) },
			sent: join(openingOf("BEGIN", "SELECT 1"), msgQuery(isolation), msgSync), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 1 2 D CSELECT_1 3 3 E25001 ZE ZE", shown: "E25001 ZE", end: "failed, soiled",
		},
		"with a statement that fails": {
			given: held("BEGIN"), do: write, sent: along, then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 E23505 ZE ZE", shown: "E23505 ZE", end: "failed, soiled",
		},
		"with a BEGIN that is cancelled": {
			given: held("BEGIN"), do: write, sent: along, then: "idle, owes, opening",
			says: "E57014 ZI", shown: "E57014 ZE",
			sentBehind: clear, waitsBehind: []string{"3 ZI"}, end: "idle, held back, failed",
		},
		"with a BEGIN that is cancelled before a group": {
			given: held("BEGIN"), do: func(s *staged) error { return s.group(false, writeGroup) },
			sent: join(openingOf("BEGIN"), writeGroup), then: "idle, owes, opening",
			says: "1 2 E57014 ZI", shown: "E57014 ZE",
			sentBehind: clear, waitsBehind: []string{"3 ZI"}, end: "idle, held back, failed, soiled", also: unnamedIs("is none"),
		},
		"with a setting that Postgres refuses": {
			given: held("BEGIN", timeout), do: write,
			sent: join(openingOf("BEGIN", timeout), msgQuery(stagedWrite), msgSync), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 1 2 E22023 ZE", shown: "E22023 ZE",
			sentBehind: join(msgQuery("ROLLBACK"), clear), waitsBehind: []string{"CROLLBACK ZI 3 ZI"}, end: "idle, held back, failed",
		},
		"with a statement that is answered before the next one is sent": {
			given: held("BEGIN"),
			do: func(s *staged) error {
				return errors.Join(write(s), s.settle(), write(s))
			},
			waits: []string{"1 2 CBEGIN 3 3 CUPDATE_1 ZT ZT"},
			sent:  join(along, msgQuery(stagedWrite)), then: "in a transaction, owes, soiled",
			says: "CUPDATE_1 ZT", shown: "CUPDATE_1 ZT CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"by a BEGIN alone, before a COPY": {
			given: held("BEGIN"), do: copying, waits: []string{"CBEGIN ZT"},
			sent: join(msgQuery("BEGIN"), msgQuery(copies)), then: "in a transaction, owes",
			says: "E42P01 ZE", shown: "E42P01 ZE", end: "failed, soiled",
		},
		"by a BEGIN alone, before a Query of several statements": {
			given: held("BEGIN"), do: func(s *staged) error { return s.query("SELECT 1; SELECT 2", false) }, waits: []string{"CBEGIN ZT"},
			sent: join(msgQuery("BEGIN"), msgQuery("SELECT 1; SELECT 2")), then: "in a transaction, owes",
			says: "T D CSELECT_1 T D CSELECT_1 ZT", shown: "T D CSELECT_1 T D CSELECT_1 ZT", end: "in a transaction, soiled",
		},
		"by a BEGIN alone, before a part of a group": {
			given: held("BEGIN"), do: func(s *staged) error { return s.group(false, msgParse("", stagedWrite), msgBind(""), msgFlush) }, waits: []string{"CBEGIN ZT"},
			sent: join(msgQuery("BEGIN"), msgParse("", stagedWrite), msgBind(""), msgFlush), then: "in a transaction, owes, mid group",
			says: "1 2", shown: "1 2", end: "in a transaction, mid group",
		},
		"by a BEGIN alone, before a COMMIT AND CHAIN": {
			given: held("BEGIN", "COMMIT AND CHAIN"), do: write, waits: []string{"CBEGIN ZT CCOMMIT ZT"},
			sent: join(msgQuery("BEGIN"), msgQuery("COMMIT AND CHAIN"), msgQuery(stagedWrite)), then: "in a transaction, owes",
			says: "CUPDATE_1 ZT", shown: "CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"by a BEGIN alone, at the second attempt": {
			given: held("BEGIN"), do: copying, waits: []string{"E57014 ZI", "3 ZI", "CBEGIN ZT"},
			sent: join(msgQuery("BEGIN"), clear, msgQuery("BEGIN"), msgQuery(copies)), then: "in a transaction, owes",
			says: "E42P01 ZE", shown: "E42P01 ZE", end: "failed, soiled",
		},
		"as failed, since it has failed for the client": {
			given: func(s *staged) { s.beginBlock("BEGIN"); s.talk.FailBlock(true) },
			do:    write, waits: []string{"CBEGIN ZT E22P02 ZE 3 ZE"},
			sent: join(msgQuery("BEGIN"), msgQuery(vain), clear, msgQuery(stagedWrite)), then: "failed, owes",
			says: "E25P02 ZE", shown: "E25P02 ZE", end: "failed, soiled",
		},
		"not by a load": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.beginBlock("BEGIN") },
			do:    func(s *staged) error { return s.load(msgBind("s", "7"), msgExecute("", 0), msgSync) },
			sent:  join(msgBind("s", "7"), msgExecute("", 0), msgSync), then: "idle, owes, held back",
			says: "2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZT", end: "idle, held back",
		},
		"not by a load that fails, which fails the block": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.beginBlock("BEGIN") },
			do:    func(s *staged) error { return s.load(msgBind("s", "7"), msgExecute("", 0), msgSync) },
			sent:  join(msgBind("s", "7"), msgExecute("", 0), msgSync), then: "idle, owes, held back",
			says: "2 E22012 ZI", shown: "2 E22012 ZE", end: "idle, held back, failed",
		},
		"by a load, if the block has a setting": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.beginBlock("BEGIN", timeout) },
			do:    func(s *staged) error { return s.load(msgBind("s", "7"), msgExecute("", 0), msgSync) },
			sent:  join(openingOf("BEGIN", timeout), msgBind("s", "7"), msgExecute("", 0), msgSync), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 1 2 CSET 3 3 2 D CSELECT_1 ZT", shown: "2 D CSELECT_1 ZT", end: "in a transaction",
		},
		"not by a Parse alone": {
			given: held("BEGIN"), do: func(s *staged) error { return s.group(true, msgParse("n", stagedRead), msgSync) },
			sent: join(msgParse("n", stagedRead), msgSync), then: "idle, owes, held back",
			says: "1 ZI", shown: "1 ZT", end: "idle, held back", also: statementStands("n", true),
		},
		"not by a DEALLOCATE": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.beginBlock("BEGIN") },
			do:    func(s *staged) error { return s.forwardDeallocate(msgQuery("DEALLOCATE s"), "s") },
			sent:  msgQuery("DEALLOCATE s"), then: "idle, owes, held back",
			says: "CDEALLOCATE ZI", shown: "CDEALLOCATE ZT", end: "idle, held back", also: statementStands("s", false),
		},
	})
}

// load sends a group whose wants are captured.
func (s *staged) load(messages ...[]byte) error {
	unit := join(messages...)
	return s.unit(unit, true, func() {
		s.planGroup(unit)
		for i := range s.plan.wants {
			s.plan.wants[i].capture = captureOf(answer.Rows)
		}
	})
}

// If Postgres refuses the BEGIN each of openAttemptsMax times, the session tells its client why and
// ends: the next statement would run outside of a transaction.
func TestBlockThatCannotBeOpenedEndsTheSession(t *testing.T) {
	t.Parallel()
	s := newStaged(t)
	s.beginBlock("BEGIN")
	for range openAttemptsMax {
		s.waits = append(s.waits, "E53200 ZI", "3 ZI")
	}
	err := s.query("COPY item FROM STDIN", false)
	if !errors.Is(err, errNotOpened) {
		t.Errorf("sending the statement returns %v, want %v", err, errNotOpened)
	}
	once := join(msgQuery("BEGIN"), msgClose('S', "freshet begin"), msgSync)
	if want := bytes.Repeat(once, openAttemptsMax); !bytes.Equal(s.sent, want) || len(s.toUp) > 0 {
		t.Errorf("Postgres is sent %s, want %s; %q is to be sent behind that, want nothing", showSent(s.sent), showSent(want), s.toUp)
	}
	if protocol.ErrorCode(s.shown) != "25000" || s.db.counters.ProtocolErrors.Load() != 1 {
		t.Errorf("the client is shown\n%s\nwant the error 25000; %d protocol errors are counted, want 1", show(s.shown), s.db.counters.ProtocolErrors.Load())
	}
}

// The session waits for the answer to an opening before it deals with the next unit: if the BEGIN
// has failed, Postgres skips messages up to the Sync of the opening only, and would run a later
// statement outside of a transaction.
func TestNothingIsSentBehindAnUnansweredOpening(t *testing.T) {
	t.Parallel()
	s := newStaged(t)
	s.beginBlock("BEGIN")
	if err := s.query(stagedWrite, false); err != nil {
		t.Fatal(err)
	}
	first := len(s.toUp)
	s.waits = []string{"1 2 E57014 ZI", "3 ZI"}
	// Postgres has skipped the Query: the client's next statement belongs to a block that has failed.
	if err := s.settle(); err != nil {
		t.Fatal(err)
	}
	if len(s.sent) < first || s.standing() != "idle, held back, failed" {
		t.Errorf("the session is %s, want idle, held back, failed; Postgres is sent %s, want all of the opening", s.standing(), showSent(s.sent))
	}
	if want := saying("E57014 ZE"); !bytes.Equal(s.shown, want) {
		t.Errorf("the client is shown\n%s\nwant\n%s", show(s.shown), show(want))
	}
}
