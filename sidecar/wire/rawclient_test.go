package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// rawWait bounds each read of a rawClient.
const rawWait = time.Minute

// rawClient is a client that sends any bytes, and returns the messages of the server as they
// came.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	// greeting holds the messages before the first ReadyForQuery, without the BackendKeyData, whose
	// body is key: the number of the server process, and the secret to cancel with.
	greeting []byte
	key      []byte
}

// pid returns the number of the client's server process, with which key begins.
func (c *rawClient) pid() uint32 { return binary.BigEndian.Uint32(c.key) }

// socketOf returns the address of the Unix socket in a DSN.
func socketOf(t testing.TB, dsn string) string {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
}

// dialOnly connects to the socket of a DSN and sends nothing.
func dialOnly(t testing.TB, dsn string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socketOf(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func startupMessage(database string) []byte { return startupMessageOf(superuser, database) }

func startupMessageOf(user, database string) []byte {
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, text := range []string{"user", user, "database", database, ""} {
		body = append(append(body, text...), 0)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// dialRaw connects and brings the session to its first ReadyForQuery.
func dialRaw(t testing.TB, dsn string) *rawClient {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, conn: dialOnly(t, dsn)}
	c.send(startupMessageOf(config.User, config.Database))
	for {
		message := c.message()
		switch message[0] {
		case 'K':
			c.key = message[protocol.HeaderLength:]
		case 'Z':
			return c
		case 'E':
			t.Fatalf("the start-up is refused:\n%s", show(message))
		default:
			c.greeting = append(c.greeting, message...)
		}
	}
}

func (c *rawClient) send(b []byte) {
	c.t.Helper()
	if err := c.trySend(b); err != nil {
		c.t.Fatal(err)
	}
}

// trySend is send for a connection that may have ended.
func (c *rawClient) trySend(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(rawWait)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// message reads one message.
func (c *rawClient) message() []byte {
	c.t.Helper()
	m, err := c.tryMessage()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	return m
}

// tryMessage is message for a connection that may have ended.
func (c *rawClient) tryMessage() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(rawWait)); err != nil {
		return nil, err
	}
	header := make([]byte, protocol.HeaderLength)
	if _, err := io.ReadFull(c.conn, header); err != nil {
		return nil, err
	}
	n := protocol.MessageLength(header)
	if n < 0 {
		return nil, fmt.Errorf("malformed header %x", header)
	}
	m := append(make([]byte, 0, n), header...)[:n]
	_, err := io.ReadFull(c.conn, m[protocol.HeaderLength:])
	return m, err
}

// until reads messages until one of each kind of kinds has come, in that order, and returns all
// that it has read.
func (c *rawClient) until(kinds string) []byte {
	c.t.Helper()
	var got []byte
	for i := 0; i < len(kinds); {
		m, err := c.tryMessage()
		if err != nil {
			c.t.Fatalf("waiting for a message %q of %q: %v; so far came\n%s", kinds[i], kinds, err, show(got))
		}
		got = append(got, m...)
		if m[0] == kinds[i] {
			i++
		}
	}
	return got
}

// ask sends messages that end in one ReadyForQuery and returns the answer.
func (c *rawClient) ask(messages ...[]byte) []byte {
	c.t.Helper()
	c.send(join(messages...))
	return c.until("Z")
}

// wantSame requires that a sidecar answers reads with the same bytes as Postgres. why says, in the
// message of a failure, what has happened before.
func wantSame(t testing.TB, why string, through, direct *rawClient, reads ...step) {
	t.Helper()
	for i, r := range reads {
		through.send(r.send)
		direct.send(r.send)
		if got, want := through.until("Z"), direct.until("Z"); !bytes.Equal(got, want) {
			t.Errorf("%s, read %d: the sidecar says\n%s\nPostgres says\n%s", why, i, show(got), show(want))
		}
	}
}

// rest reads until the server has closed the connection, and closes the client's end.
func (c *rawClient) rest() []byte {
	c.t.Helper()
	defer c.conn.Close()
	if err := c.conn.SetReadDeadline(time.Now().Add(rawWait)); err != nil {
		c.t.Fatal(err)
	}
	got, err := io.ReadAll(c.conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		c.t.Fatalf("the server has not closed the connection; so far came\n%s", show(got))
	}
	return got
}

// show formats messages of the server, each on a line with its kind, its length and its body.
func show(b []byte) string {
	var lines []string
	for kind, m := range protocol.Messages(b) {
		body := m[protocol.HeaderLength:]
		if len(body) > 200 {
			body = append(append([]byte(nil), body[:200]...), "…"...)
		}
		lines = append(lines, fmt.Sprintf("  %c %d %q", kind, len(m), body))
		b = b[len(m):]
	}
	if len(b) > 0 {
		lines = append(lines, fmt.Sprintf("  cut off: %q", b[:min(len(b), 200)]))
	}
	return strings.Join(lines, "\n")
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// What follows makes messages of a client.

func msgQuery(sql string) []byte { return protocol.AppendMessage(nil, 'Q', []byte(sql+"\x00")) }

func msgParse(name, sql string, types ...uint32) []byte {
	body := []byte(name + "\x00" + sql + "\x00")
	body = binary.BigEndian.AppendUint16(body, uint16(len(types)))
	for _, t := range types {
		body = binary.BigEndian.AppendUint32(body, t)
	}
	return protocol.AppendMessage(nil, 'P', body)
}

// binding holds the parts of a Bind message. A nil value is NULL.
type binding struct {
	portal, statement string
	formats           []uint16
	values            [][]byte
	results           []uint16
}

func (b binding) message() []byte {
	body := []byte(b.portal + "\x00" + b.statement + "\x00")
	body = appendInt16s(body, b.formats)
	body = binary.BigEndian.AppendUint16(body, uint16(len(b.values)))
	for _, v := range b.values {
		if v == nil {
			body = binary.BigEndian.AppendUint32(body, 1<<32-1)
			continue
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
	}
	return protocol.AppendMessage(nil, 'B', appendInt16s(body, b.results))
}

func appendInt16s(dst []byte, list []uint16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(list)))
	for _, n := range list {
		dst = binary.BigEndian.AppendUint16(dst, n)
	}
	return dst
}

// msgBind binds text values to a statement, as the unnamed portal, with results in text.
func msgBind(statement string, values ...string) []byte {
	b := binding{statement: statement}
	for _, v := range values {
		b.values = append(b.values, []byte(v))
	}
	return b.message()
}

func msgDescribe(kind byte, name string) []byte {
	return protocol.AppendMessage(nil, 'D', []byte{kind}, []byte(name+"\x00"))
}

func msgClose(kind byte, name string) []byte {
	return protocol.AppendMessage(nil, 'C', []byte{kind}, []byte(name+"\x00"))
}

func msgExecute(portal string, rows uint32) []byte {
	return protocol.AppendMessage(nil, 'E', []byte(portal+"\x00"), binary.BigEndian.AppendUint32(nil, rows))
}

var (
	msgSync      = protocol.AppendMessage(nil, 'S')
	msgFlush     = protocol.AppendMessage(nil, 'H')
	msgCopyDone  = protocol.AppendMessage(nil, 'c')
	msgTerminate = protocol.AppendMessage(nil, 'X')
)

func msgCopyData(text string) []byte { return protocol.AppendMessage(nil, 'd', []byte(text)) }

func msgCopyFail(text string) []byte { return protocol.AppendMessage(nil, 'f', []byte(text+"\x00")) }

// msgCall is a FunctionCall with text arguments and a text result.
func msgCall(oid uint32, args ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, oid)
	body = appendInt16s(body, nil)
	body = binary.BigEndian.AppendUint16(body, uint16(len(args)))
	for _, a := range args {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(a))), a...)
	}
	return protocol.AppendMessage(nil, 'F', binary.BigEndian.AppendUint16(body, 0))
}
