package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A wait in a transaction that Postgres knows of is cancelled by what fails there, and is shown as
// the cancelled statement.
func TestCancelInATransactionFailsIt(t *testing.T) {
	t.Parallel()
	failing := join(binding{statement: "freshet changed"}.message(), msgSync)
	doSending(t, map[string]sendingTest{
		"a wait": {
			given: func(s *staged) { s.talk.Begin(protocol.StatusInBlock) },
			do:    func(s *staged) error { return s.cancelInTransaction() },
			sent:  failing, then: "in a transaction, owes",
			says: "E26000 ZE", shown: "E57014 ZE", end: "failed",
		},
		"a wait behind answers that are gathered": {
			given: func(s *staged) { s.talk.Begin(protocol.StatusInBlock) },
			do: func(s *staged) error {
				s.out = append(s.out, saying("CSELECT_1 ZT")...)
				return s.cancelInTransaction()
			},
			sent: failing, then: "in a transaction, owes",
			says: "E26000 ZE", shown: "CSELECT_1 ZT E57014 ZE", end: "failed",
		},
		"the end of the connection in between": {
			given: func(s *staged) { s.talk.Begin(protocol.StatusInBlock) },
			do:    func(s *staged) error { return s.cancelInTransaction() },
			sent:  failing, then: "in a transaction, owes",
			says: "F57P01", shown: "F57P01", end: "in a transaction, owes, left",
		},
	})
}
