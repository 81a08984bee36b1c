package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// overhear leads the sessions of s that start from now on through a link to Postgres. heard is given
// each message of a session to Postgres, and returns what is passed on instead.
func overhear(t *testing.T, s *side, heard func(message []byte) []byte) {
	t.Helper()
	listener, place := standIn(t)
	direct := s.Server.upstream
	s.Server.upstream = transport.NewUpstream(place)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go passOnHeard(t, conn, direct, heard)
		}
	}()
}

// passOnHeard relays one connection of a session until either side ends it.
func passOnHeard(t *testing.T, conn net.Conn, direct transport.Upstream, heard func([]byte) []byte) {
	defer conn.Close()
	startup, err := protocol.ReadStartup(conn)
	if err != nil {
		return // a cancel request's connection may end like this, too
	}
	postgres, err := direct.Dial(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer postgres.Close()
	if _, err := postgres.Write(startup); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(conn, postgres) // until either side ends
		conn.Close()
	}()
	client := &rawClient{t: t, conn: conn}
	for {
		message, err := client.tryMessage()
		if err != nil {
			return
		}
		if _, err := postgres.Write(heard(message)); err != nil {
			return
		}
	}
}

// opens reports whether a message is one of those by which the sidecar begins a block at Postgres.
func opens(message []byte) bool { return bytes.Contains(message, []byte(openingName)) }

// openers send an UPDATE, which opens a block that was held back, in each protocol.
var openers = map[string]func(update string) []byte{
	"simple":   msgQuery,
	"extended": func(update string) []byte { return synced(once(update)).send },
}

// A BEGIN that was held back is sent together with the statement behind it: a link that keeps the
// messages which begin the block until that statement comes does not keep the client waiting.
func TestBeginCostsNoRoundTrip(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	var kept []byte
	held := false
	overhear(t, s, func(message []byte) []byte {
		if opens(message) {
			kept, held = append(kept, message...), true
			return nil
		}
		message = append(kept, message...)
		kept = nil
		return message
	})
	for name, update := range openers {
		held = false
		c := dialRaw(t, s.dsn())
		c.ask(msgQuery("SELECT name FROM item WHERE id = 1")) // has the session probed
		c.ask(msgQuery("BEGIN"))
		c.ask(msgQuery("SAVEPOINT s1"))
		if got := c.ask(update("UPDATE item SET version = 1 WHERE id = 1")); !bytes.HasSuffix(got, []byte(protocol.ReadyInBlock)) {
			t.Errorf("%s: the statement is answered with\n%s\nwant ReadyForQuery in a transaction", name, show(got))
		}
		if !held {
			t.Errorf("%s: the link has kept no message that begins a block, want the BEGIN", name)
		}
		c.ask(msgQuery("ROLLBACK TO s1"))
		if got := c.ask(msgQuery("SELECT version FROM item WHERE id = 1")); !bytes.Contains(got, []byte("\x010")) {
			t.Errorf("%s: behind ROLLBACK TO the version is\n%s\nwant 0", name, show(got))
		}
		c.ask(msgQuery("COMMIT"))
		c.conn.Close()
	}
}

// readOfABlock can be answered while its block is held back, once the sidecar has its analysis.
const readOfABlock = "SELECT version FROM item WHERE id = 1"

// knowsTheReadOfABlock waits until the sidecar has the analysis of readOfABlock: before, the read
// would open its block. It would so too where a follower looks late, unless the sidecar is patient.
func (s *side) knowsTheReadOfABlock(t *testing.T) {
	t.Helper()
	c := dialRaw(t, s.dsn())
	c.ask(msgQuery(readOfABlock))
	s.analysed(readOfABlock)
	c.conn.Close()
}

// A block that was held back, has read, and then writes is begun by its BEGIN alone. As the block
// has read, Postgres must have taken a snapshot for it; the UPDATE behind the BEGIN sees to that,
// so no SELECT is sent for it.
func TestBeginBehindAReadIsSentAlone(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	s.knowsTheReadOfABlock(t)
	var begun []string
	overhear(t, s, func(message []byte) []byte {
		if message[0] == 'P' && opens(message) {
			_, text, _ := protocol.CutString(message[protocol.HeaderLength:])
			text, _, _ = protocol.CutString(text)
			begun = append(begun, string(text))
		}
		return message
	})
	c := dialRaw(t, s.dsn())
	for name, update := range openers {
		begun = nil
		c.ask(msgQuery("BEGIN"))
		c.ask(msgQuery(readOfABlock))
		c.ask(update("UPDATE item SET version = 1 WHERE id = 1"))
		c.ask(msgQuery("ROLLBACK"))
		if !slices.Equal(begun, []string{"BEGIN"}) {
			t.Errorf("%s: %q begin the transaction, want BEGIN alone", name, begun)
		}
	}
	c.conn.Close()
}

// openingFailures are the messages that begin a block and that Postgres may refuse: the message is
// of the given kind, the garbled text in it makes Postgres refuse it, and code is Postgres' error.
var openingFailures = []struct {
	name, garbled, code string
	kind                byte
}{
	{name: "BEGIN", garbled: "BEGIN", kind: 'P', code: "42601"},
	{name: "BEGIN behind its Parse", garbled: openingName, kind: 'E', code: "34000"},
	{name: "SAVEPOINT", garbled: "SAVEPOINT", kind: 'P', code: "42601"},
	{name: "SELECT", garbled: "SELECT", kind: 'P', code: "42601"},
}

// Postgres refuses a message that begins a block. Then neither the statement behind it, nor the
// next one, which the client sends without waiting, may run outside of the transaction. Nor may a
// statement of the sidecar's own be left, which the client could see, and whose name the next BEGIN
// needs.
func TestStatementsBehindAFailedBeginDoNotRun(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(patient)
	s.knowsTheReadOfABlock(t)
	var garbled string
	var garbledKind byte
	overhear(t, s, func(message []byte) []byte {
		if message[0] == garbledKind && opens(message) {
			return bytes.Replace(message, []byte(garbled), bytes.Repeat([]byte("?"), len(garbled)), 1)
		}
		return message
	})
	for _, failure := range openingFailures {
		for name, update := range openers {
			t.Run(failure.name+" "+name, func(t *testing.T) {
				garbled, garbledKind = failure.garbled, failure.kind
				c := dialRaw(t, s.dsn())
				c.ask(msgQuery("BEGIN"))
				c.ask(msgQuery(readOfABlock)) // with this read and the savepoint a SELECT is among the messages that begin the block
				c.ask(msgQuery("SAVEPOINT s1"))
				c.send(join(update("UPDATE item SET version = 1 WHERE id = 1"), update("UPDATE item SET version = 2 WHERE id = 1")))
				for _, code := range []string{failure.code, "25P02"} {
					if got := c.until("Z"); !bytes.Contains(got, []byte("C"+code+"\x00")) || !bytes.HasSuffix(got, []byte(protocol.ReadyFailed)) {
						t.Errorf("the client got, instead of %s in a failed transaction,\n%s", code, show(got))
					}
				}
				garbledKind = 0
				if got := c.ask(msgQuery("ROLLBACK TO s1")); !bytes.HasSuffix(got, []byte(protocol.ReadyInBlock)) {
					t.Errorf("ROLLBACK TO is answered with\n%s\nwant ReadyForQuery in a transaction", show(got))
				}
				if got := c.ask(update("UPDATE item SET version = 3 WHERE id = 1")); !bytes.Contains(got, []byte("UPDATE 1\x00")) {
					t.Errorf("the next statement of the transaction is answered with\n%s\nwant UPDATE 1", show(got))
				}
				if got := c.ask(msgQuery("SELECT 'left: ' || name FROM pg_prepared_statements")); bytes.Contains(got, []byte("left: ")) {
					t.Errorf("Postgres has prepared statements, which are the sidecar's own, want none:\n%s", show(got))
				}
				if got := c.ask(msgQuery("ROLLBACK")); !bytes.HasSuffix(got, []byte(protocol.ReadyIdle)) {
					t.Errorf("ROLLBACK is answered with\n%s\nwant ReadyForQuery outside of a transaction", show(got))
				}
				if got := c.ask(msgQuery("SELECT version FROM item WHERE id = 1")); !bytes.Contains(got, []byte("\x010")) {
					t.Errorf("the version behind ROLLBACK is\n%s\nwant 0: an UPDATE has run outside of the transaction", show(got))
				}
				c.conn.Close()
			})
		}
	}
}
