package wire

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// lateListener hands out one client, which the kernel accepted before, only when the listener is
// closed.
type lateListener struct {
	net.Listener
	accepted net.Conn
	closed   chan struct{}
	handed   bool
}

func (l *lateListener) Accept() (net.Conn, error) {
	if l.handed {
		return nil, net.ErrClosed
	}
	<-l.closed
	l.handed = true
	return l.accepted, nil
}

func (l *lateListener) Close() error {
	close(l.closed)
	return l.Listener.Close()
}

// A client that was accepted while another process took over is served by the process that
// accepted it:
//
//  1. a client connects, and the kernel hands the connection to this process;
//  2. another process says that it accepts from now on, and this process stops accepting;
//  3. this process comes to handle the connection of 1. If it closed the connection, a client would
//     be refused though one of the two processes was listening all the time.
//
// Where the process ends and no other has taken over, such a client is sent away.
func TestClientAcceptedLateIsServed(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	for name, c := range map[string]struct{ leaves, served bool }{"another process took over": {true, true}, "ended without a successor": {false, false}} {
		t.Run(name, func(t *testing.T) {
			config, err := pgx.ParseConfig(s.dsn())
			if err != nil {
				t.Fatal(err)
			}
			dir := testkit.SocketDir(t)
			other, err := New(Options{
				Upstream: &config.Config, SocketDir: dir, Port: testPort, Drain: 10 * time.Second,
				Cache: s.cache, Fence: s.fence, Follower: s.follower, Analyzer: s.analyzer, Passwordless: PasswordlessAny,
			})
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := net.Pipe()
			other.listeners[0] = &lateListener{Listener: other.listeners[0], accepted: ours, closed: make(chan struct{})}
			if c.leaves {
				other.Leave()
			}
			ctx, end := context.WithCancel(t.Context())
			end()
			ended := make(chan error, 1)
			go func() { ended <- other.Run(ctx) }()

			client := config.Copy()
			client.Host, client.TLSConfig, client.Fallbacks = "127.0.0.1", nil, nil
			client.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
			client.DialFunc = pgconn.DialFunc(func(context.Context, string, string) (net.Conn, error) { return theirs, nil })
			conn, err := pgx.ConnectConfig(t.Context(), client)
			if served := err == nil; served != c.served {
				t.Errorf("served %v, want %v: %v", served, c.served, err)
			}
			if err == nil {
				var one int
				if err := conn.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil {
					t.Error(err)
				}
				conn.Close(context.Background())
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
