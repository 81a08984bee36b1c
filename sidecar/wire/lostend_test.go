package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// connected returns both ends of a connection.
func connected(t *testing.T, network string) (near, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = socketDir(t) + "/socket"
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if far, err = net.Dial(network, listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if near, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, far
}

// reported has something happen to a connection, and returns when the poller
// has reported it. Nothing is read.
func reported(t *testing.T, conn net.Conn, happen func() error) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	happened := false
	err = raw.Read(func(uintptr) bool {
		if happened {
			return true
		}
		happened = true
		if err := happen(); err != nil {
			t.Error(err)
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
}

var closings = map[string]func(net.Conn) error{
	"full": net.Conn.Close,
	"half": func(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
}

// TestLostEnd forces the interleaving of lostEnds: when the receiver begins, the
// poller has long reported the last bytes and the end behind them.
func TestLostEnd(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		for name, end := range closings {
			for what, more := range map[string]bool{"waits": false, "wants more": true} {
				t.Run(network+"/"+name+"/"+what, func(t *testing.T) {
					t.Parallel()
					near, far := connected(t, network)
					reported(t, near, func() error { _, err := far.Write([]byte("last words")); return err })
					reported(t, near, func() error { return end(far) })

					s := newStream(near, newLostEnds())
					in := newBuffer(s)
					heard := ""
					ended := make(chan error, 1)
					go func() {
						ended <- s.receive(&in, func() (bool, error) {
							heard += string(in.held())
							in.drop(len(in.held()))
							return more, nil
						})
					}()
					if s.raw != nil && !more {
						eventually(t, "the receiver to wait", s.noted.Load)
						s.ends.look()
					}
					select {
					case err := <-ended:
						if !errors.Is(err, io.EOF) || heard != "last words" {
							t.Errorf("the receiver heard %q and ended with %v", heard, err)
						}
					case <-time.After(eventuallyMax):
						near.Close()
						t.Fatalf("the end was not found; %v", <-ended)
					}
				})
			}
		}
	}
}

// TestLookDisturbsNoReceiver: one that has read everything goes on as if nobody
// had looked, and so does one that has not.
func TestLookDisturbsNoReceiver(t *testing.T) {
	t.Parallel()
	near, far := connected(t, "unix")
	s := newStream(near, newLostEnds())
	in := newBuffer(s)
	heard := make(chan string)
	ended := make(chan error, 1)
	go func() {
		ended <- s.receive(&in, func() (bool, error) {
			if said := string(in.held()); said != "" {
				in.drop(len(said))
				heard <- said
			}
			return false, nil
		})
	}()
	say := func(words string) {
		if _, err := far.Write([]byte(words)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		say("a")
		if got := <-heard; got != "a" {
			t.Fatalf("heard %q", got)
		}
		s.ends.look()
		say("b") // perhaps before the receiver has taken note, or while it is looked at
		s.ends.look()
		if got := <-heard; got != "b" {
			t.Fatalf("heard %q", got)
		}
	}
	far.Close()
	eventually(t, "the receiver to end", func() bool { s.ends.look(); return len(ended) > 0 })
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the receiver ended with %v", err)
	}
}

// TestHungUpIsNoGoodbye: whose connection the sidecar ends is not waited for, as
// one is that has said all it wanted to.
func TestHungUpIsNoGoodbye(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		near, _ := connected(t, network)
		s := newStream(near, newLostEnds())
		in := newBuffer(s)
		ended := make(chan error, 1)
		go func() { ended <- s.receive(&in, func() (bool, error) { return false, nil }) }()
		s.hangUp()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the receiver ended with %v", network, err)
		}
	}
}

// sessionOf waits for the session of a client that has just been let in.
func (s *side) sessionOf(c *rawClient) (found *session) {
	c.t.Helper()
	eventually(c.t, "the session", func() bool {
		found = s.sessions.find(cancelKey(c.key))
		return found != nil
	})
	return found
}

// TestClientThatLeavesBehindItsQuery holds the sidecar up while a client sends
// and leaves.
func TestClientThatLeavesBehindItsQuery(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	ask := msgQuery("SELECT name FROM item WHERE id = 7")
	mustHit := func(c *rawClient) {
		eventually(t, "a hit", func() bool {
			before := s.count(HitL1)
			c.ask(ask)
			return s.count(HitL1) > before
		})
	}
	first := dialRaw(t, s.dsn())
	mustHit(first)
	before := measure(t)
	for name, leave := range closings {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, s.dsn())
			mustHit(c)
			session := s.sessionOf(c)
			hits := s.count(HitL1)
			session.writeMu.Lock()
			c.send(ask)
			eventually(t, "the session to answer", func() bool { return s.count(HitL1) > hits })
			c.send(ask)
			if err := leave(c.conn); err != nil {
				t.Error(err)
			}
			session.writeMu.Unlock()
			eventually(t, "the session to end", func() bool { return s.sessions.find(cancelKey(c.key)) == nil })
			c.conn.Close()
		})
	}
	before.mustReturnTo(t)
}

// TestPostgresThatLeavesBehindItsAnswer holds the sidecar up while Postgres
// answers, says that it leaves, and leaves.
func TestPostgresThatLeavesBehindItsAnswer(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	c := dialRaw(t, s.dsn())
	pid := c.pid()
	session := s.sessionOf(c)
	session.writeMu.Lock()
	c.send(msgQuery("SELECT 'random' || random()"))
	is := func(state string) bool {
		var n int
		err := bed.direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%random%' AND state = $2", pid, state).Scan(&n)
		return err == nil && n == 1
	}
	eventually(t, "Postgres to answer", func() bool { return is("idle") })
	bed.exec("SELECT pg_terminate_backend($1, 20000)", pid)
	session.writeMu.Unlock()
	got := c.rest()
	kinds := ""
	for kind := range protocol.Messages(got) {
		kinds += string(kind)
	}
	if kinds != "TDCZE" {
		t.Errorf("the client got\n%s", show(got))
	}
	eventually(t, "the session to end", func() bool { return s.sessions.find(cancelKey(c.key)) == nil })
}

// standIn is a listener in the place of a Postgres, and how to connect to it.
func standIn(t *testing.T) (net.Listener, *pgconn.Config) {
	t.Helper()
	const port = 5432
	dir := socketDir(t)
	listener, err := net.Listen("unix", SocketPath(dir, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, &pgconn.Config{Host: dir, Port: port}
}

// scripted is a sidecar whose Postgres is played by the test.
func scripted(t *testing.T, bed *testbed) (s *side, postgres net.Listener, stop func()) {
	t.Helper()
	postgres, place := standIn(t)
	first := bed.sidecar()
	s = &side{bed: bed, dir: socketDir(t)}
	var err error
	s.Server, err = New(Options{
		Upstream: place, SocketDir: s.dir, Port: testPort, Drain: 50 * time.Millisecond,
		Cache: first.Server.cache, Fence: first.fence, Follower: first.follower, Analyzer: first.Server.verdicts.analyzer,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, postgres, func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(eventuallyMax):
			t.Fatal("the sidecar does not end")
		}
	}
}

// letIn plays Postgres up to the client's first ReadyForQuery. The probe fails.
func letIn(t *testing.T, postgres net.Listener) *rawClient {
	t.Helper()
	conn, err := postgres.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	up := &rawClient{t: t, conn: conn}
	if _, err := protocol.ReadStartup(conn); err != nil {
		t.Fatal(err)
	}
	up.send(join(protocol.AppendMessage(nil, 'R', uint32s(protocol.AuthenticationOK)), protocol.AppendMessage(nil, 'K', uint32s(1, 2)), []byte(protocol.ReadyIdle)))
	up.message()
	up.send(append(protocol.ErrorResponse("ERROR", "3F000", "no such schema", ""), protocol.ReadyIdle...))
	return up
}

// TestAnswerAndEndAtOnce: Postgres dies behind a complete answer, without a word.
func TestAnswerAndEndAtOnce(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s, postgres, stop := scripted(t, bed)
	for name, leave := range closings {
		t.Run(name, func(t *testing.T) {
			for range 20 { // bytes and end are one edge now and then
				c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
				c.send(startupMessage(bed.database))
				up := letIn(t, postgres)
				c.until("Z")
				c.send(msgQuery("CHECKPOINT"))
				up.message()
				up.send(append(protocol.AppendMessage(nil, 'C', []byte("CHECKPOINT\x00")), protocol.ReadyIdle...))
				if err := leave(up.conn); err != nil {
					t.Error(err)
				}
				if got := c.rest(); len(got) == 0 || got[0] != 'C' {
					t.Errorf("the client got\n%s", show(got))
				}
			}
		})
	}
	stop()
}

// TestDeafPostgresDoesNotHoldUpTheEnd: a session that is blocked in a write to
// Postgres, which reads nothing, ends with the others.
func TestDeafPostgresDoesNotHoldUpTheEnd(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s, postgres, stop := scripted(t, bed)
	for _, length := range []int{8 << 20, 8 << 10} { // longer than the buffer, and many in one
		message := msgCopyData(string(make([]byte, length)))
		c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
		c.send(startupMessage(bed.database))
		letIn(t, postgres)
		c.until("Z")
		for sent := error(nil); !errors.Is(sent, os.ErrDeadlineExceeded); {
			if err := c.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, sent = c.conn.Write(message); sent != nil && !errors.Is(sent, os.ErrDeadlineExceeded) {
				t.Fatal(sent)
			}
		}
	}
	stop()
}
