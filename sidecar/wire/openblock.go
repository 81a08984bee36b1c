package wire

import (
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// A transaction that Postgres knows of may have done nothing but read: the statement that
// had to run in it asked for the time, or for a table that is not watched. In READ
// COMMITTED its next read sees what it would see outside of it, as each statement has a
// snapshot of its own and there are no rows of its own to see. So reads in it are answered
// and captured as reads outside are, and the label, taken before the read is sent, is as
// certain: the snapshot is the statement's, not the transaction's.
//
// That a transaction is such a one has to be known of each of its statements, the BEGIN
// included (see conversation.Stand). Nothing is asked of Postgres in between:
// an error of a question of the sidecar's own would fail the client's transaction. So what
// it would take a question to know is not known until the transaction has ended.
//
// One thing is the transaction's own: Postgres takes in what others have defined when a
// transaction begins, and when it locks what it has not locked yet.
//
//  1. a transaction reads a row of a table, and holds the table's lock from then on;
//  2. its role is denied the table; the event is received, and is in the head;
//  3. the transaction reads another row, by a statement that was prepared before 2: Postgres
//     goes by the rights of 1, and shows it. For a new text it looks the table up, and sees 2;
//  4. kept under a label of the head of 2, it would be served to the role for good.
//
// So a change that is received before a transaction has ended makes it one that may have
// done anything: SchemaChanged soils every session before the head of 2 is published, and
// what soils a transaction stays until it has ended. Shown by
// TestReadUnderOlderRightsOfAnOpenTransactionIsKeptForNobody.

// cancelInTransaction has Postgres fail what stands for the statement that was cancelled,
// and so the transaction.
func (s *sending) cancelInTransaction() error {
	s.talk.Owe(conversation.Expectation{Kind: conversation.Bind, Instead: cancelledResponse, Effect: shapes.NoEffect})
	if err := s.sendUpstream(bindOfNothing); err != nil {
		return err
	}
	s.expectUnit(conversation.Expectation{Kind: conversation.Sync, Harmless: true, ShowsNothing: true})
	return s.sendUpstream(syncMessage)
}

// inBlock reports whether the client is in a transaction block, whoever knows of it.
func (u *understanding) inBlock() bool { return u.block.Held || u.inTransaction }

// askable says why Postgres cannot be asked anything of the sidecar's own, empty if it can.
func (u *understanding) askable() string {
	switch {
	case u.behind:
		return reasons.Pipelined
	case u.talk.MidGroup():
		return reasons.OpenGroup
	case u.inTransaction:
		return reasons.InTransaction
	case !u.mayProbe():
		return reasons.TooLong
	}
	return ""
}
