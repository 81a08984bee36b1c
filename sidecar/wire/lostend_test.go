package wire

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/testkit"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// sessionOf waits for the session of a client that has just been let in.
func (s *side) sessionOf(c *rawClient) (found *session) {
	c.t.Helper()
	servers.Eventually(c.t, "the session", func() bool {
		found = s.sessions.find(cancelKey(c.key))
		return found != nil
	})
	return found
}

// A client sends a query and leaves while its session, whose writeMu the test holds, can write
// nothing. The session ends then, and nothing of it is left behind.
func TestSessionEndsWhoseClientLeavesBehindItsQuery(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	ask := msgQuery("SELECT name FROM item WHERE id = 7")
	mustHit := func(c *rawClient) {
		servers.Eventually(t, "a hit", func() bool {
			before := s.count(HitL1)
			c.ask(ask)
			return s.count(HitL1) > before
		})
	}
	first := dialRaw(t, s.dsn())
	mustHit(first)
	before := measure(t)
	for name, leave := range testkit.Closings {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, s.dsn())
			mustHit(c)
			session := s.sessionOf(c)
			hits := s.count(HitL1)
			session.writeMu.Lock()
			c.send(ask)
			servers.Eventually(t, "the session to answer", func() bool { return s.count(HitL1) > hits })
			c.send(ask)
			if err := leave(c.conn); err != nil {
				t.Error(err)
			}
			session.writeMu.Unlock()
			servers.Eventually(t, "the session to end", func() bool { return s.sessions.find(cancelKey(c.key)) == nil })
			c.conn.Close()
		})
	}
	before.mustReturnTo(t)
}

// Postgres answers, sends its last error and ends the connection while the session, whose writeMu
// the test holds, can write nothing. The client receives all of it afterwards.
func TestAnswerAndLastErrorAreDeliveredThoughPostgresHasLeft(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
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
	servers.Eventually(t, "Postgres to answer", func() bool { return is("idle") })
	bed.exec("SELECT pg_terminate_backend($1, 20000)", pid)
	session.writeMu.Unlock()
	got := c.rest()
	kinds := ""
	for kind := range protocol.Messages(got) {
		kinds += string(kind)
	}
	if kinds != "TDCZE" {
		t.Errorf("the client got\n%s\nwant the messages TDCZE", show(got))
	}
	servers.Eventually(t, "the session to end", func() bool { return s.sessions.find(cancelKey(c.key)) == nil })
}

// standIn is a listener in the place of a Postgres, and the configuration that leads to it.
func standIn(t *testing.T) (net.Listener, *pgconn.Config) {
	t.Helper()
	const port = 5432
	dir := socketDir(t)
	listener, err := net.Listen("unix", transport.SocketPath(dir, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, &pgconn.Config{Host: dir, Port: port}
}

// scripted is a sidecar whose clients are led to a listener, where the test plays Postgres. All but
// its sessions is lent. The test must call stop, which ends the sidecar.
func scripted(t *testing.T) (s *side, postgres net.Listener, stop func()) {
	t.Helper()
	postgres, place := standIn(t)
	s, stop = lentSidecar(t).beside(t, place)
	return s, postgres, stop
}

// beside starts a sidecar that shares all but its sessions with s, and leads its clients to
// upstream. stop ends it, and checks that no session met a fault.
func (s *side) beside(t *testing.T, upstream *pgconn.Config) (other *side, stop func()) {
	t.Helper()
	other = &side{bed: s.bed, dir: socketDir(t)}
	var err error
	other.Server, err = New(Options{
		Upstream: upstream, SocketDir: other.dir, Port: testPort, Drain: 50 * time.Millisecond,
		Cache: s.Server.cache, Fence: s.fence, Follower: s.follower, Analyzer: s.analyzer,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel) // for a test that fails before it calls stop
	ended := make(chan error, 1)
	go func() { ended <- other.Run(ctx) }()
	return other, func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(servers.EventuallyMax):
			t.Fatalf("the sidecar has not ended after %v", servers.EventuallyMax)
		}
		if n := other.Report().Panics; n != 0 {
			t.Errorf("%d sessions met a fault of the sidecar, want none", n)
		}
	}
}

// letIn accepts a session's connection and plays Postgres up to the client's first ReadyForQuery.
// The session's probe is answered with an error.
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

// entered connects a client, and plays Postgres up to the client's first ReadyForQuery.
func (s *side) entered(t *testing.T, postgres net.Listener) (c, up *rawClient, of *session) {
	t.Helper()
	c = &rawClient{t: t, conn: dialOnly(t, s.dsn())}
	c.send(startupMessage(s.bed.database))
	up = letIn(t, postgres)
	c.readGreeting()
	return c, up, s.sessionOf(c)
}

// Postgres ends the connection right behind a complete answer, without an error. The client
// receives the answer. The answer and the end are one event to the session: both come while it deals
// with a notice, which it cannot write as the test holds writeMu.
func TestAnswerIsDeliveredThoughPostgresEndsRightBehindIt(t *testing.T) {
	t.Parallel()
	s, postgres, stop := scripted(t)
	for name, leave := range testkit.Closings {
		t.Run(name, func(t *testing.T) {
			c, up, session := s.entered(t, postgres)
			c.send(msgQuery("CHECKPOINT"))
			up.message()
			session.writeMu.Lock()
			up.send(protocol.AppendMessage(nil, 'N', []byte("SNOTICE\x00\x00")))
			servers.Eventually(t, "the session to have read the notice", func() bool { return !session.up.Readable() })
			up.send(append(protocol.AppendMessage(nil, 'C', []byte("CHECKPOINT\x00")), protocol.ReadyIdle...))
			if err := leave(up.conn); err != nil {
				t.Error(err)
			}
			session.writeMu.Unlock()
			if got := c.rest(); string(kindsOf(got)) != "NCZ" {
				t.Errorf("the client got\n%s\nwant the messages NCZ", show(got))
			}
		})
	}
	stop()
}

// A session that is blocked in a write to Postgres, which reads nothing, does not keep the sidecar
// from ending.
func TestDeafPostgresDoesNotHoldUpTheSidecarsEnd(t *testing.T) {
	t.Parallel()
	s, postgres, stop := scripted(t)
	for _, length := range []int{8 << 20, 8 << 10} { // messages longer than the session's buffer, and such that many fit into it
		message := msgCopyData(string(make([]byte, length)))
		c, _, session := s.entered(t, postgres)
		go func() {
			for err := error(nil); err == nil; { // until the sidecar ends
				_, err = c.conn.Write(message)
			}
		}()
		servers.Eventually(t, "the session to be blocked in a write to Postgres", func() bool {
			if session.turn.TryLock() {
				session.turn.Unlock()
				return false // it deals with nothing of the client's
			}
			return fillUp(t, session.up)
		})
	}
	stop()
}

// fillUp writes a byte to a connection, and reports whether none fits into its socket any more: then
// a write to it blocks until the other end reads.
func fillUp(t *testing.T, s *transport.Stream) (full bool) {
	t.Helper()
	socket, err := s.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = socket.Control(func(fd uintptr) { // Write would wait for the write that is blocked
		_, err := unix.Write(int(fd), []byte{0})
		full = errors.Is(err, unix.EAGAIN)
	})
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// The error with which Postgres ends a connection reaches the client, also where a write to Postgres
// fails before the sidecar reads the error.
func TestLastErrorOfPostgresIsDeliveredBehindAFailedWrite(t *testing.T) {
	t.Parallel()
	s, postgres, stop := scripted(t)
	c, up, session := s.entered(t, postgres)
	servers.Eventually(t, "the session to wait for its client", func() bool {
		session.turn.Lock()
		defer session.turn.Unlock()
		return session.resting
	})
	if err := up.conn.(*net.UnixConn).CloseRead(); err != nil {
		t.Fatal(err)
	}
	c.send(msgQuery("CHECKPOINT"))
	servers.Eventually(t, "the write to Postgres to fail", func() bool {
		session.turn.Lock()
		defer session.turn.Unlock()
		return !session.resting // after a whole message it would rest, had nothing failed
	})
	up.send(protocol.ErrorResponse("FATAL", "57P01", "terminating connection", ""))
	if err := up.conn.Close(); err != nil {
		t.Error(err)
	}
	if got := c.rest(); !bytes.Contains(got, []byte("\x00C57P01\x00")) {
		t.Errorf("the client got\n%s\nwant the error 57P01", show(got))
	}
	stop()
}
