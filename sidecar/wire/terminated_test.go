package wire

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// TestEndOfABlockFailsOnATerminatedSession: Postgres terminates a session while the sidecar holds its
// block. The client's next control statement must fail with the error of Postgres, and not be
// answered by the sidecar as if Postgres were there. Whether the sidecar has read what Postgres said last
// is left to chance here; TestEndOfABlockFailsBehindAnUnreadFarewell forces that it has not.
func TestEndOfABlockFailsOnATerminatedSession(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	read := msgQuery("SELECT name FROM item WHERE id = 3")
	for name, end := range endsOfBlocks {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				c := dialRaw(t, s.dsn())
				c.ask(read)
				c.ask(msgQuery("BEGIN"))
				c.ask(read)
				bed.exec("SELECT pg_terminate_backend($1, 20000)", int(c.pid()))
				_ = c.trySend(end) // the connection may have ended already
				got := c.rest()
				if !bytes.Contains(got, []byte("\x00C57P01\x00")) || len(got) != protocol.MessageLength(got) {
					t.Fatalf("the client gets\n%s\nwant the error 57P01 alone", show(got))
				}
			}
		})
	}
}
