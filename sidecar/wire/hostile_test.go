package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

func uint32s(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// mustRefuse reads to the end of the connection, and requires a fatal protocol error before it.
func mustRefuse(t *testing.T, c *rawClient) {
	t.Helper()
	got := c.rest()
	if len(got) == 0 || got[0] != 'E' || !bytes.Contains(got, []byte("\x00C08P01\x00")) || !bytes.Contains(got, []byte("SFATAL\x00")) {
		t.Errorf("want a protocol error, got\n%s", show(got))
	}
}

// greetings are first bytes that no client of Postgres sends.
var greetings = map[string][]byte{
	"http":               []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	"tls":                append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, bytes.Repeat([]byte{7}, 500)...),
	"high bytes":         bytes.Repeat([]byte{0xff}, 64),
	"zeros":              make([]byte, 64),
	"huge length":        append(uint32s(1<<31-1, 3<<16), "user\x00postgres\x00\x00"...),
	"negative length":    append(uint32s(1<<32-1, 3<<16), "user\x00postgres\x00\x00"...),
	"length 4":           append(uint32s(4, 3<<16), "user\x00postgres\x00\x00"...),
	"length 7":           append(uint32s(7, 3<<16), "user\x00postgres\x00\x00"...),
	"over the limit":     append(uint32s(protocol.StartupLengthMax+1, 3<<16), "user\x00postgres\x00\x00"...),
	"Terminate":          msgTerminate,
	"Terminate, cut off": msgTerminate[:4],
	"version 0.0":        uint32s(8, 0),
	"version 1.0":        append(uint32s(8+14, 1<<16), "user\x00postgres\x00"...),
	"version 2.0":        append(uint32s(8+15, 2<<16), "user\x00postgres\x00\x00"...),
}

// interruptions are messages that no client sends once it is connected.
var interruptions = map[string][]byte{
	"high bytes":       bytes.Repeat([]byte{0xff}, 64),
	"zeros":            make([]byte, 64),
	"text":             []byte("get / http/1.1\r\n"),
	"unknown type":     protocol.AppendMessage(nil, 'z'),
	"backend's type":   protocol.AppendMessage(nil, 'T', []byte("\x00\x00")),
	"password":         protocol.AppendMessage(nil, 'p', []byte("secret\x00")),
	"length 0":         append([]byte{'Q'}, uint32s(0)...),
	"length 3":         append([]byte{'Q'}, uint32s(3)...),
	"negative length":  append([]byte{'Q'}, uint32s(1<<32-1)...),
	"over the limit":   append([]byte{'Q'}, uint32s(1<<30)...),
	"behind a Parse":   append(msgParse("", "SELECT 1"), 'B', 0, 0, 0, 1),
	"behind a group":   join(read("3"), msgSync, []byte{'E', 0, 0, 0, 2}),
	"unknown in group": join(read("3"), protocol.AppendMessage(nil, 'y')),
}

// Malformed bytes are answered at start-up as by Postgres, and refused with a protocol error later.
// Another client does not notice, nothing is left behind, and each refusal is counted, once.
func TestMalformedMessagesAreRefusedAndHurtNobody(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	b := watch(t, s)
	before := measure(t)
	refused := func() uint64 { return s.Report().ProtocolErrors }
	for name, greeting := range greetings {
		t.Run("start-up/"+name, func(t *testing.T) {
			counted := refused()
			c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
			_ = c.trySend(greeting)
			d := &rawClient{t: t, conn: dialOnly(t, bed.postgres.DSN(bed.database))}
			_ = d.trySend(greeting) // a server that refuses early may not read it all
			if want, got := d.rest(), c.rest(); !bytes.Equal(want, got) {
				t.Errorf("Postgres says %q and the sidecar %q", want, got)
			}
			if !strings.HasPrefix(name, "version ") { // which is well formed
				servers.Eventually(t, "the refusal to be counted", func() bool { return refused() == counted+1 })
			}
		})
	}
	for name, bytes := range interruptions {
		t.Run("later/"+name, func(t *testing.T) {
			counted := refused()
			c := dialRaw(t, s.dsn())
			c.send(bytes)
			mustRefuse(t, c)
			servers.Eventually(t, "the refusal to be counted", func() bool { return refused() == counted+1 })
		})
	}
	t.Run("random", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 60 * *crowd {
			c := dialRaw(t, s.dsn())
			noise := make([]byte, 1+random.IntN(200))
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			_ = c.trySend(noise)
			c.conn.Close()
		}
	})
	b.mustGoOn(t)
	before.mustReturnTo(t)
}

// Clients that leave a message unfinished, and then are silent or close their connections, hurt no
// other client and leave nothing behind.
func TestUnfinishedMessagesHurtNobody(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	b := watch(t, s)
	before := measure(t)
	startup := startupMessage(bed.database)
	var silent []net.Conn
	leave := func(c net.Conn, sent []byte) {
		t.Helper()
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	for n := 0; n < len(startup); n += 3 {
		leave(dialOnly(t, s.dsn()), startup[:n])
	}
	for _, m := range [][]byte{
		msgQuery("SELECT name FROM item"), join(read("3"), msgSync), msgCopyData("x"), msgCall(1317, "four"),
	} {
		for n := 1; n < len(m); n += 5 {
			leave(dialRaw(t, s.dsn()).conn, m[:n])
		}
	}
	for _, kind := range "QPBDECdcfFSHX" {
		// A message of a length that Postgres allows or not, of which almost nothing comes, and the
		// beginning of one that is longer than the sidecar's buffer.
		leave(dialRaw(t, s.dsn()).conn, append([]byte{byte(kind)}, uint32s(1<<30-1, 0, 0)...))
		leave(dialRaw(t, s.dsn()).conn, append([]byte{byte(kind)}, append(uint32s(1<<20), make([]byte, transport.BufferLengthMax+100)...)...))
	}
	b.mustGoOn(t)
	if got := s.psql("SELECT name FROM item WHERE id = 7"); got != "item 7\n" {
		t.Errorf("a new client reads %q, want item 7", got)
	}
	for _, c := range silent {
		c.Close()
	}
	b.mustGoOn(t)
	before.mustReturnTo(t)
}

// A client that connects and sends nothing is given up once startupWait is over.
func TestSilentClientMeetsTheStartupDeadline(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	s := newSession(&Server{database: database{background: t.Context()}, startupWait: 50 * time.Millisecond}, far)
	defer s.end()
	began := time.Now()
	ended := make(chan bool)
	go func() { ended <- s.start() }()
	if <-ended {
		t.Error("a client that sent nothing was let in, want it given up")
	}
	if took := time.Since(began); took < 50*time.Millisecond || took > bystanderWaitMax {
		t.Errorf("the client was waited for %v, want 50ms at least and %v at most", took, bystanderWaitMax)
	}
}

// A cancel request whose key no session has, or whose key is missing or too long, is not answered
// and hurts no other client.
func TestCancelWithAnUnknownKeyHurtsNobody(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	b := watch(t, s)
	before := measure(t)
	for _, request := range [][]byte{
		uint32s(16, protocol.CancelCode, 4711, 4712), uint32s(8, protocol.CancelCode), append(uint32s(2008, protocol.CancelCode), make([]byte, 2000)...),
	} {
		c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
		c.send(request)
		if got := c.rest(); len(got) > 0 {
			t.Errorf("a cancel request is answered with\n%s\nwant no answer", show(got))
		}
	}
	b.mustGoOn(t)
	before.mustReturnTo(t)
}

// Connections that several clients open and drop at once, in every stage of a session, leave nothing
// behind, and hurt no other client. A single one that kept a goroutine or a file descriptor would be
// found.
func TestDroppedConnectionsLeaveNothingBehind(t *testing.T) {
	bed := newTestbed(t, wideSchema)
	s := bed.sidecar()
	b := watch(t, s)
	for range 2 {
		s.psql("SELECT * FROM wide")
	}
	before := measure(t)
	startup := startupMessage(bed.database)
	stages := map[string]func(){
		"before start-up":      func() { dialOnly(t, s.dsn()).Close() },
		"within start-up":      func() { c := dialOnly(t, s.dsn()); _, _ = c.Write(startup[:20]); c.Close() },
		"behind start-up":      func() { c := dialOnly(t, s.dsn()); _, _ = c.Write(startup); c.Close() },
		"connected":            func() { dialRaw(t, s.dsn()).conn.Close() },
		"half of a query sent": func() { c := dialRaw(t, s.dsn()); c.send(msgQuery("SELECT 1")[:7]); c.conn.Close() },
		"in a slow query":      func() { c := dialRaw(t, s.dsn()); c.send(msgQuery("SELECT pg_sleep(0.02)")); c.conn.Close() },
		"in a transaction":     func() { c := dialRaw(t, s.dsn()); c.ask(msgQuery("BEGIN")); c.conn.Close() },
		"unread hits": func() {
			c := dialRaw(t, s.dsn())
			c.send(bytes.Repeat(msgQuery("SELECT * FROM wide"), 8))
			c.conn.Close()
		},
		"unread from server": func() { c := dialRaw(t, s.dsn()); c.send(msgQuery("SELECT *, random() FROM wide")); c.conn.Close() },
		"while copying in": func() {
			c := dialRaw(t, s.dsn())
			c.send(msgQuery("COPY wide FROM STDIN"))
			c.until("G")
			c.conn.Close()
		},
		"while loading a key": func() {
			c := dialRaw(t, s.dsn())
			c.send(msgQuery("SELECT count(*) FROM wide, item, item i"))
			c.conn.Close()
		},
		"Terminate sent": func() { c := dialRaw(t, s.dsn()); c.send(msgTerminate); c.rest() },
	}
	const clients = 8
	for name, stage := range stages {
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for range 2 * *crowd {
					stage()
				}
			})
		}
		all.Wait()
		if t.Failed() {
			t.Fatalf("failed in the stage %s", name)
		}
	}
	b.mustGoOn(t)
	before.mustReturnTo(t)
	servers.Eventually(t, "the sessions to end", func() bool { return s.Report().Sessions == 1 })
	s.psql("SELECT count(*) FROM wide, item, item i") // nobody waits for a load that was dropped
}
