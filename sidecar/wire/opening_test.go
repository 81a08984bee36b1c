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

// overhear puts a link between a sidecar and its Postgres on which heard may
// change each message of a client, or hold it up. It is for sessions that start
// later.
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

// opens reports whether a message belongs to what begins a block.
func opens(message []byte) bool { return bytes.Contains(message, []byte(openingName)) }

var openers = map[string]func(update string) []byte{
	"simple":   msgQuery,
	"extended": func(update string) []byte { return synced(once(update)).send },
}

// TestBeginCostsNoRoundTrip keeps everything that begins a block on the way until
// the statement behind it is there, too.
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
		c.ask(msgQuery("SELECT name FROM item WHERE id = 1")) // probes
		c.ask(msgQuery("BEGIN"))
		c.ask(msgQuery("SAVEPOINT s1"))
		if got := c.ask(update("UPDATE item SET version = 1 WHERE id = 1")); !bytes.HasSuffix(got, []byte(protocol.ReadyInBlock)) {
			t.Errorf("%s: the statement was answered with\n%s", name, show(got))
		}
		if !held {
			t.Errorf("%s: nothing was held up", name)
		}
		c.ask(msgQuery("ROLLBACK TO s1"))
		if got := c.ask(msgQuery("SELECT version FROM item WHERE id = 1")); !bytes.Contains(got, []byte("\x010")) {
			t.Errorf("%s: the savepoint restored\n%s", name, show(got))
		}
		c.ask(msgQuery("COMMIT"))
		c.conn.Close()
	}
}

// readOfABlock opens no block that is held back, once it is known.
const readOfABlock = "SELECT version FROM item WHERE id = 1"

// knowsTheReadOfABlock waits until it is: where the analysis took long, the read would open its
// block, as it would where the follower looked late and the sidecar is not patient.
func (s *side) knowsTheReadOfABlock(t *testing.T) {
	t.Helper()
	c := dialRaw(t, s.dsn())
	c.ask(msgQuery(readOfABlock))
	s.analysed(readOfABlock)
	c.conn.Close()
}

// A transaction that has read, and then changes something, begins with nothing but its BEGIN:
// the statement behind it has Postgres take the snapshot that it has taken for the read.
func TestBeginBehindAReadIsAlone(t *testing.T) {
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
			t.Errorf("%s: %q begin the transaction", name, begun)
		}
	}
	c.conn.Close()
}

// openingFailures are what Postgres may refuse of what begins a block: the place of
// the message, what of it is garbled, and the error.
var openingFailures = []struct {
	name, garbled, code string
	kind                byte
}{
	{name: "BEGIN", garbled: "BEGIN", kind: 'P', code: "42601"},
	{name: "BEGIN behind its Parse", garbled: openingName, kind: 'E', code: "34000"},
	{name: "SAVEPOINT", garbled: "SAVEPOINT", kind: 'P', code: "42601"},
	{name: "SELECT", garbled: "SELECT", kind: 'P', code: "42601"},
}

// TestFailedBeginTakesItsStatementAlong has Postgres refuse what begins a block:
// neither the statement behind it nor the next one, which the client sends without
// waiting, may run outside of the transaction. Nor may anything be left of it that
// the client could see, or the next BEGIN meet.
func TestFailedBeginTakesItsStatementAlong(t *testing.T) {
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
				c.ask(msgQuery(readOfABlock)) // read, so that a SELECT is sent along
				c.ask(msgQuery("SAVEPOINT s1"))
				c.send(join(update("UPDATE item SET version = 1 WHERE id = 1"), update("UPDATE item SET version = 2 WHERE id = 1")))
				for _, code := range []string{failure.code, "25P02"} {
					if got := c.until("Z"); !bytes.Contains(got, []byte("C"+code+"\x00")) || !bytes.HasSuffix(got, []byte(protocol.ReadyFailed)) {
						t.Errorf("instead of %s the client got\n%s", code, show(got))
					}
				}
				garbledKind = 0
				if got := c.ask(msgQuery("ROLLBACK TO s1")); !bytes.HasSuffix(got, []byte(protocol.ReadyInBlock)) {
					t.Errorf("back to the savepoint:\n%s", show(got))
				}
				if got := c.ask(update("UPDATE item SET version = 3 WHERE id = 1")); !bytes.Contains(got, []byte("UPDATE 1\x00")) {
					t.Errorf("the next statement of the transaction:\n%s", show(got))
				}
				if got := c.ask(msgQuery("SELECT 'left: ' || name FROM pg_prepared_statements")); bytes.Contains(got, []byte("left: ")) {
					t.Errorf("Postgres has statements of the sidecar's own:\n%s", show(got))
				}
				if got := c.ask(msgQuery("ROLLBACK")); !bytes.HasSuffix(got, []byte(protocol.ReadyIdle)) {
					t.Errorf("the end of the transaction:\n%s", show(got))
				}
				if got := c.ask(msgQuery("SELECT version FROM item WHERE id = 1")); !bytes.Contains(got, []byte("\x010")) {
					t.Errorf("something was written outside of the transaction:\n%s", show(got))
				}
				c.conn.Close()
			})
		}
	}
}
