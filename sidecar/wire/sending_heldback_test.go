package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/statements"
)

// The sidecar has answered a Parse, or a use of a prepared statement, by itself. Postgres is sent it
// before a unit that may change its meaning, in a group of its own that the client does not see.
func TestHeldBackParsesAndUsesAreSentBeforeChanges(t *testing.T) {
	t.Parallel()
	writes := join(msgBind("w"), msgExecute("", 0), msgSync)
	write := func(s *staged) error { return s.group(false, writes) }
	here := func(s *staged) { s.prepareReadAndWrite(); s.answeredHere(stagedDated) }
	used := func(sql string, use statements.Use) func(*staged) {
		return func(s *staged) { s.prepareReadAndWrite(); s.statements.NoteUse(s.prepare("d", sql), use) }
	}
	const withParameter = stagedDated + " AND id = $1"
	runSendingTests(t, map[string]sendingTest{
		"a held-back Parse": {
			given: here, do: write, waits: []string{"1 ZI"},
			sent: join(msgParse("", stagedDated), msgSync, writes), then: "idle, owes",
			says: "2 CUPDATE_1 ZI", shown: "2 CUPDATE_1 ZI", end: "idle, soiled", also: unnamedIs("is Postgres'"),
		},
		"a held-back Parse that Postgres refuses": {
			given: here, do: write, waits: []string{"E22008 ZI"},
			sent: join(msgParse("", stagedDated), msgSync, writes), then: "idle, owes",
			says: "2 CUPDATE_1 ZI", shown: "2 CUPDATE_1 ZI", end: "idle, soiled", also: unnamedIs("is the client's alone"),
		},
		"no Parse before a read": {
			given: here, do: func(s *staged) error { return s.group(true, msgBind("s", "7"), msgExecute("", 0), msgSync) },
			sent: join(msgBind("s", "7"), msgExecute("", 0), msgSync), then: "idle, owes",
			says: "2 D CSELECT_1 ZI", shown: "2 D CSELECT_1 ZI", end: "idle", also: unnamedIs("is the client's alone"),
		},
		"no Parse before a Query, which ends the statement": {
			given: here, do: func(s *staged) error { return s.query(stagedWrite, false) },
			sent: msgQuery(stagedWrite), then: "idle, owes",
			says: "CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled", also: unnamedIs("is none"),
		},
		"no Parse in a group that has failed": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.group(true, msgBind("nobody"), msgFlush))
				s.hear("E26000")
				s.answeredHere(stagedDated)
			},
			do: write, sent: writes, then: "idle, owes",
			says: "ZI", shown: "ZI", end: "idle, soiled", also: unnamedIs("is the client's alone"),
		},
		"a Parse in a transaction, if settings decide about its constants": {
			given: func(s *staged) { here(s); s.talk.Begin('T') }, do: write, waits: []string{"1 ZT"},
			sent: join(msgParse("", stagedDated), msgSync, writes), then: "in a transaction, owes",
			says: "2 CUPDATE_1 ZT", shown: "2 CUPDATE_1 ZT", end: "in a transaction, soiled", also: unnamedIs("is Postgres'"),
		},
		"no other Parse in a transaction, as its error would fail the transaction": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.answeredHere(stagedRead); s.talk.Begin('T') }, do: write,
			sent: writes, then: "in a transaction, owes",
			says: "2 CUPDATE_1 ZT", shown: "2 CUPDATE_1 ZT", end: "in a transaction, soiled", also: unnamedIs("is the client's alone"),
		},
		"the use of a statement": {
			given: used(stagedDated, statements.Executed), do: write,
			sent: join(msgBind("d"), msgSync, writes), then: "idle, owes",
			says: "2 ZI 2 CUPDATE_1 ZI", shown: "2 CUPDATE_1 ZI", end: "idle, soiled",
		},
		"the use of a statement that fails": {
			given: used(stagedDated, statements.Executed), do: write,
			sent: join(msgBind("d"), msgSync, writes), then: "idle, owes",
			says: "E22008 ZI 2 CUPDATE_1 ZI", shown: "2 CUPDATE_1 ZI", end: "idle, soiled",
		},
		"the use of a statement with a parameter": {
			given: used(withParameter, statements.Executed), do: write,
			sent: join(msgDescribe('S', "d"), msgSync, writes), then: "idle, owes",
			says: "t T ZI 2 CUPDATE_1 ZI", shown: "2 CUPDATE_1 ZI", end: "idle, soiled",
		},
		"the description of a statement": {
			given: used(stagedDated, statements.Described), do: write,
			sent: join(msgDescribe('S', "d"), msgSync, writes), then: "idle, owes",
			says: "t T ZI 2 CUPDATE_1 ZI", shown: "2 CUPDATE_1 ZI", end: "idle, soiled",
		},
		"no use in a transaction": {
			given: func(s *staged) { used(stagedDated, statements.Executed)(s); s.talk.Begin('T') }, do: write,
			sent: writes, then: "in a transaction, owes",
			says: "2 CUPDATE_1 ZT", shown: "2 CUPDATE_1 ZT", end: "in a transaction, soiled",
		},
		"a Parse before a held block is opened": {
			given: func(s *staged) { here(s); s.beginBlock("BEGIN") }, do: write, waits: []string{"1 ZI"},
			sent: join(msgParse("", stagedDated), msgSync, openingOf("BEGIN"), writes), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 2 CUPDATE_1 ZT", shown: "2 CUPDATE_1 ZT", end: "in a transaction, soiled", also: unnamedIs("is Postgres'"),
		},
		"a Parse before a message longer than the buffer": {
			given: here, do: func(s *staged) error { return s.forwardLong(msgBind("w")) }, waits: []string{"1 ZI"},
			sent: join(msgParse("", stagedDated), msgSync, msgBind("w")), then: "idle, owes, mid group",
			says: "2", shown: "2", end: "idle, mid group", also: unnamedIs("is Postgres'"),
		},
	})
}
