package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/statements"
)

// unseenPortal returns the messages by which the sidecar, unseen by the client, makes a portal of a
// statement in Postgres and executes it for a number of rows: all if that is 0; a negative number
// leaves the Execute out.
func unseenPortal(portal, sql string, bound binding, rows int) (messages []byte) {
	const name = "freshet begin"
	bound.portal, bound.statement = portal, name
	messages = join(msgParse(name, sql), bound.message())
	if rows >= 0 {
		messages = append(messages, msgExecute(portal, uint32(rows))...)
	}
	return append(messages, msgClose('S', name)...)
}

// The sidecar has answered the Bind of a portal by itself. The portal is made in Postgres, unseen by
// the client, before a unit that may use it.
func TestPortalsAreMadeBeforeTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	values := binding{values: [][]byte{[]byte("7")}}
	bound := values.message()[len(msgSync)+2:] // what follows the names of the portal and the statement
	reading := func(s *staged) *statements.Statement {
		statement, _ := s.statements.Intern([]byte(stagedRead + "\x00\x00\x00"))
		return statement
	}
	ofBlock := func(names ...string) func(*staged) {
		return func(s *staged) {
			s.beginBlock("BEGIN")
			for _, name := range names {
				s.portals.add([]byte(name), reading(s), bound)
			}
		}
	}
	aheadOf := func(p portalAhead) func(*staged) {
		return func(s *staged) {
			p.portal = portal{"p", reading(s), bound}
			s.ahead.portals = append(s.ahead.portals, p)
		}
	}
	write := func(s *staged) error { return s.query(stagedWrite, false) }
	noneMissing := func(s *staged) string {
		if s.portals.any() || len(s.ahead.portals) > 0 {
			return "the session believes that Postgres lacks portals of the client"
		}
		return ""
	}
	runSendingTests(t, map[string]sendingTest{
		"a portal of a held block": {
			given: ofBlock("p"), do: write, waits: []string{"CBEGIN ZT 1 2 D CSELECT_1 3 ZT"},
			sent: join(msgQuery("BEGIN"), unseenPortal("p", stagedRead, values, 0), msgSync, msgQuery(stagedWrite)), then: "in a transaction, owes",
			says: "CUPDATE_1 ZT", shown: "CUPDATE_1 ZT", end: "in a transaction, soiled", also: noneMissing,
		},
		"two portals of a held block": {
			given: ofBlock("p", "q"), do: write, waits: []string{"CBEGIN ZT 1 2 D CSELECT_1 3 1 2 D CSELECT_1 3 ZT"},
			sent: join(msgQuery("BEGIN"), unseenPortal("p", stagedRead, values, 0), unseenPortal("q", stagedRead, values, 0), msgSync, msgQuery(stagedWrite)), then: "in a transaction, owes",
			says: "CUPDATE_1 ZT", shown: "CUPDATE_1 ZT", end: "in a transaction, soiled", also: noneMissing,
		},
		"a portal of a held block that the unit closes first": {
			given: ofBlock("p"), do: func(s *staged) error {
				return s.group(false, msgClose('P', "p"), msgParse("", stagedWrite), msgBind(""), msgExecute("", 0), msgSync)
			},
			sent: join(openingOf("BEGIN"), msgClose('P', "p"), msgParse("", stagedWrite), msgBind(""), msgExecute("", 0), msgSync), then: "idle, owes, opening",
			says: "1 2 CBEGIN 3 3 3 1 2 CUPDATE_1 ZT", shown: "3 1 2 CUPDATE_1 ZT", end: "in a transaction, soiled", also: noneMissing,
		},
		"a portal of a held block that Postgres cannot make": {
			given: ofBlock("p"), do: write,
			waits: []string{"CBEGIN ZT 1 2 E22012 ZE", "CROLLBACK ZI 3 ZI", "CBEGIN ZT 1 2 E22012 ZE", "CROLLBACK ZI 3 ZI", "CBEGIN ZT 1 2 E22012 ZE", "CROLLBACK ZI 3 ZI", "CBEGIN ZT E22P02 ZE 3 ZE"},
			sent: join(
				failedOpening(unseenPortal("p", stagedRead, values, 0)), failedOpening(unseenPortal("p", stagedRead, values, 0)), failedOpening(unseenPortal("p", stagedRead, values, 0)),
				msgQuery("BEGIN"), msgQuery(beganInVain), msgClose('S', "freshet begin"), msgSync, msgQuery(stagedWrite)), then: "failed, owes",
			says: "E25P02 ZE", shown: "E25P02 ZE", end: "failed, soiled", also: noneMissing,
		},
		"a portal of a part, of which nothing was fetched": {
			given: aheadOf(portalAhead{left: saying("D D CSELECT_2")}), do: write,
			sent: join(unseenPortal("p", stagedRead, values, -1), msgQuery(stagedWrite)), then: "idle, owes",
			says: "1 2 3 CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled", also: noneMissing,
		},
		"a portal of a part, of which a row was fetched": {
			given: aheadOf(portalAhead{left: saying("D CSELECT_1"), fetched: 1}), do: write,
			sent: join(unseenPortal("p", stagedRead, values, 1), msgQuery(stagedWrite)), then: "idle, owes",
			says: "1 2 D s 3 CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled", also: noneMissing,
		},
		"a portal of a part that was read to its end": {
			given: aheadOf(portalAhead{fetched: 2}), do: write,
			sent: join(unseenPortal("p", stagedRead, values, 0), msgQuery(stagedWrite)), then: "idle, owes",
			says: "1 2 D D CSELECT_2 3 CUPDATE_1 ZI", shown: "CUPDATE_1 ZI", end: "idle, soiled", also: noneMissing,
		},
		"a portal of a part that is executed behind another statement": {
			given: aheadOf(portalAhead{left: saying("D CSELECT_1")}),
			do: func(s *staged) error {
				return s.group(true, msgParse("", "SELECT 1"), msgBind(""), msgExecute("", 0), msgExecute("p", 0), msgSync)
			},
			sent: join(unseenPortal("p", stagedRead, values, -1), msgParse("", "SELECT 1"), msgBind(""), msgExecute("", 0), msgExecute("p", 0), msgSync), then: "idle, owes",
			says: "1 2 3 1 2 D CSELECT_1 D CSELECT_1 ZI", shown: "1 2 D CSELECT_1 D CSELECT_1 ZI", end: "idle", also: noneMissing,
		},
		"no portal of a part before a read that cannot use it": {
			given: aheadOf(portalAhead{left: saying("D CSELECT_1")}),
			do:    func(s *staged) error { return s.query("SELECT 1", true) },
			sent:  msgQuery("SELECT 1"), then: "idle, owes",
			says: "T D CSELECT_1 ZI", shown: "T D CSELECT_1 ZI", end: "idle",
		},
	})
}

// failedOpening is an attempt to open a block whose portal Postgres cannot make, and the messages
// that rid Postgres of the transaction.
func failedOpening(portal []byte) []byte {
	return join(msgQuery("BEGIN"), portal, msgSync, msgQuery("ROLLBACK"), msgClose('S', "freshet begin"), msgSync)
}
