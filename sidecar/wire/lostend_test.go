package wire

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

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

// TestClientThatLeavesBehindItsQuery holds the sidecar up while a client sends
// and leaves.
func TestClientThatLeavesBehindItsQuery(t *testing.T) {
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

// TestPostgresThatLeavesBehindItsAnswer holds the sidecar up while Postgres
// answers, says that it leaves, and leaves.
func TestPostgresThatLeavesBehindItsAnswer(t *testing.T) {
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
		t.Errorf("the client got\n%s", show(got))
	}
	servers.Eventually(t, "the session to end", func() bool { return s.sessions.find(cancelKey(c.key)) == nil })
}

// standIn is a listener in the place of a Postgres, and how to connect to it.
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

// scripted is a sidecar whose Postgres is played by the test.
func scripted(t *testing.T, bed *testbed) (s *side, postgres net.Listener, stop func()) {
	t.Helper()
	postgres, place := standIn(t)
	s, stop = bed.sidecar().beside(t, place)
	return s, postgres, stop
}

// beside starts a sidecar that shares all but its sessions with s, and leads its clients
// elsewhere.
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
			t.Fatal("the sidecar does not end")
		}
		if n := other.Report().Panics; n != 0 {
			t.Errorf("%d sessions met a fault of the sidecar", n)
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
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s, postgres, stop := scripted(t, bed)
	for name, leave := range testkit.Closings {
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

// What Postgres says before it leaves reaches the client, also where the sidecar finds first that
// Postgres takes nothing more.
func TestWhyPostgresLeavesIsToldBehindAFailedWrite(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s, postgres, stop := scripted(t, bed)
	c := &rawClient{t: t, conn: dialOnly(t, s.dsn())}
	c.send(startupMessage(bed.database))
	up := letIn(t, postgres)
	c.until("Z")
	if err := up.conn.(*net.UnixConn).CloseRead(); err != nil {
		t.Fatal(err)
	}
	c.send(msgQuery("CHECKPOINT"))
	servers.Eventually(t, "the session to read its client no more", func() bool {
		stacks := make([]byte, 1<<20)
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("receiveFromClient("))
	})
	up.send(protocol.ErrorResponse("FATAL", "57P01", "terminating connection", ""))
	if err := up.conn.Close(); err != nil {
		t.Error(err)
	}
	if got := c.rest(); !bytes.Contains(got, []byte("\x00C57P01\x00")) {
		t.Errorf("the client was told\n%s", show(got))
	}
	stop()
}
