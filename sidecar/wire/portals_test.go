package wire

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A portal that was answered while BEGIN was held back, and that Postgres cannot make when the
// transaction has to be opened:
//
//  1. a read by the portal p is answered from the cache in a block that is held back;
//  2. another client changes the row, so that the read would fail;
//  3. the client writes: the block is opened, and Postgres is to make p.
//
// The transaction has failed then. The session goes on: its next transaction runs as any other.
func TestPortalThatCannotBeMadeFailsItsTransaction(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	bed.exec("UPDATE item SET version = 1")
	s.received()
	c := dialRaw(t, s.dsn())
	const divided = "SELECT 10 / version FROM item WHERE id = $1"
	c.ask(msgParse("s", divided, oidInt4), msgSync)
	// hit sends a read until it is a hit.
	hit := func(message []byte) {
		t.Helper()
		for before := s.count(HitL1); s.count(HitL1) == before; {
			if got := c.ask(message, msgSync); bytes.IndexByte(kindsOf(got), 'E') >= 0 {
				t.Fatalf("a read fails:\n%s", show(got))
			}
		}
	}
	hit(named("p", "7", 0))
	for range 2 {
		for name, write := range map[string][]byte{"by a Query": msgQuery("UPDATE item SET name = 'new' WHERE id = 7"),
			"by a group": join(msgParse("", "UPDATE item SET name = 'new' WHERE id = 7"), msgBind(""), msgExecute("", 0), msgSync)} {
			bed.exec("UPDATE item SET version = 1 WHERE id = 7")
			s.received()
			hit(named("p", "7", 0))
			before := s.count(HitL1)
			c.ask(msgQuery("BEGIN READ WRITE"))
			if c.ask(named("p", "7", 0), msgSync); s.count(HitL1) == before {
				c.ask(msgQuery("ROLLBACK"))
				t.Fatalf("%s: the read in the block is no hit", name)
			}
			bed.exec("UPDATE item SET version = 0 WHERE id = 7")
			if got := c.ask(write); !bytes.HasSuffix(got, []byte(protocol.ReadyFailed)) || protocol.ErrorCode(got[:protocol.MessageLength(got)]) != "25P02" {
				t.Errorf("%s: the write in a transaction whose portal cannot be made is answered with\n%s\nwant 25P02", name, show(got))
			}
			if got := c.ask(msgQuery("COMMIT")); !bytes.Contains(got, []byte("ROLLBACK")) || !bytes.HasSuffix(got, []byte(protocol.ReadyIdle)) {
				t.Errorf("%s: COMMIT is answered with\n%s\nwant ROLLBACK", name, show(got))
			}
			// The next block begins: the name of the statement that begins it is free again.
			if got := c.ask(msgQuery("BEGIN")); !bytes.HasSuffix(got, []byte(protocol.ReadyInBlock)) {
				t.Errorf("%s: BEGIN is answered with\n%s\nwant ReadyForQuery in a transaction", name, show(got))
			}
			if got := c.ask(write); bytes.IndexByte(kindsOf(got), 'E') >= 0 || !bytes.HasSuffix(got, []byte(protocol.ReadyInBlock)) {
				t.Errorf("%s: the next transaction's write is answered with\n%s\nwant no error", name, show(got))
			}
			c.ask(msgQuery("ROLLBACK"))
		}
	}
}

// kindsOf are the kinds of the messages of an answer.
func kindsOf(answer []byte) (kinds []byte) {
	for kind := range protocol.Messages(answer) {
		kinds = append(kinds, kind)
	}
	return kinds
}
