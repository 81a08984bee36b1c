package wire

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// TestBlockOfATerminatedSession: where Postgres has ended a connection, the end of a block
// that was held back on it fails, as it would have.
func TestBlockOfATerminatedSession(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	read := msgQuery("SELECT name FROM item WHERE id = 3")
	for name, end := range map[string][]byte{
		"COMMIT": msgQuery("COMMIT"), "ROLLBACK": msgQuery("ROLLBACK"), "SAVEPOINT": msgQuery("SAVEPOINT s1"),
		"COMMIT, extended": synced(msgParse("", "COMMIT"), msgBind(""), msgExecute("", 0)).send,
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				c := dialRaw(t, s.dsn())
				c.ask(read)
				c.ask(msgQuery("BEGIN"))
				c.ask(read)
				bed.exec("SELECT pg_terminate_backend($1, 20000)", int(c.pid()))
				_ = c.trySend(end) // the connection may have ended already
				got := c.rest()
				if !bytes.Contains(got, []byte("\x00C57P01\x00")) || len(got) != protocol.MessageLength(got) {
					t.Fatalf("the client was told\n%s", show(got))
				}
			}
		})
	}
}
