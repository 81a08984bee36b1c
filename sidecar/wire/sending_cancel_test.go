package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A client's statement waits in the sidecar, within a transaction that Postgres knows of, and the
// client cancels it. The sidecar has Postgres fail a Bind of no statement, so that the transaction
// fails, and the client is shown the error of a cancelled statement in its place.
func TestCancelledWaitFailsTheTransaction(t *testing.T) {
	t.Parallel()
	failing := join(binding{statement: "freshet changed"}.message(), msgSync)
	runSendingTests(t, map[string]sendingTest{
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
		"a wait, and the connection ends before the Bind is answered": {
			given: func(s *staged) { s.talk.Begin(protocol.StatusInBlock) },
			do:    func(s *staged) error { return s.cancelInTransaction() },
			sent:  failing, then: "in a transaction, owes",
			says: "F57P01", shown: "F57P01", end: "in a transaction, owes, left",
		},
	})
}
