package redis

import (
	"context"
	"net"
	"syscall"
	"time"
)

// socket is a connection to Redis. Before each exchange go-redis has the system look whether
// the other side has hung up, or has said something that nobody asked for, which takes a
// twentieth of the exchange. A connection on which the other side has answered a moment ago is
// not looked at: of all that broke in that moment each costs one question. One that has rested
// is, or each connection that a restarted Redis has closed would cost a reader his question.
// An answer to another question is told from the right one by its key: see engine.
type socket struct {
	net.Conn
	raw syscall.RawConn
	// heard is when the other side said something last. It belongs to who has the connection.
	heard time.Time
}

// restMin is how long a connection has rested that is looked at.
const restMin = 100 * time.Millisecond

// keepAlive is how soon a connection is given up whose other side has gone without a word.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialer makes the connections of a client without TLS.
func dialer(timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, KeepAliveConfig: keepAlive}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newSocket(conn), nil
	}
}

func newSocket(conn net.Conn) net.Conn {
	if s, ok := conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return &socket{Conn: conn, raw: raw}
		}
	}
	return conn
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n > 0 {
		s.heard = time.Now()
	}
	return n, err
}

// SetDeadline implements net.Conn. To take both deadlines back is the beginning of a look,
// and left to that: each exchange sets its own.
func (s *socket) SetDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return s.Conn.SetDeadline(t)
}

// SyscallConn implements syscall.Conn.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return glance{s}, nil }

// glance is how go-redis looks at a socket: by Read.
type glance struct{ of *socket }

// Read implements syscall.RawConn. It does not call f if the connection need not be looked at.
func (g glance) Read(f func(fd uintptr) (done bool)) error {
	if time.Since(g.of.heard) < restMin {
		return nil
	}
	if err := g.of.Conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return g.of.raw.Read(f)
}

// Control and Write implement syscall.RawConn.
func (g glance) Control(f func(fd uintptr)) error           { return g.of.raw.Control(f) }
func (g glance) Write(f func(fd uintptr) (done bool)) error { return g.of.raw.Write(f) }
