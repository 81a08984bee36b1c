package wire

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// unreadEnd is a session's connection to Postgres, whose bytes nobody reads before the session sends
// something: then wrote is called.
type unreadEnd struct {
	net.Conn
	wrote func()
}

// NetConn returns the socket, for transport.Stream.Readable.
func (e *unreadEnd) NetConn() net.Conn { return e.Conn }

func (e *unreadEnd) Write(b []byte) (int, error) {
	n, err := e.Conn.Write(b)
	e.wrote()
	return n, err
}

// socketPair returns both ends of a connection.
func socketPair(t *testing.T) (ends [2]net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends
}

// endsOfBlocks are what a client may send to a block that the sidecar holds back, for the sidecar to answer.
var endsOfBlocks = map[string][]byte{
	"COMMIT": msgQuery("COMMIT"), "ROLLBACK": msgQuery("ROLLBACK"), "SAVEPOINT": msgQuery("SAVEPOINT s1"),
	"COMMIT in a group": synced(msgParse("", "COMMIT"), msgBind(""), msgExecute("", 0)).send,
}

// The interleaving described at upstreamLives: what Postgres has said last, with or without the end of
// its connection, lies unread in the session's socket when the client ends its block.
func TestEndOfABlockFailsBehindAnUnreadFarewell(t *testing.T) {
	t.Parallel()
	for name, end := range endsOfBlocks {
		for state, gone := range map[string]bool{"said": false, "gone": true} {
			t.Run(name+"/"+state, func(t *testing.T) {
				t.Parallel()
				var shown []byte
				server := unconnected(t).server
				server.logger = slog.New(slog.DiscardHandler)
				server.cache = newStore(t, server.fence)
				s := newSession(server, stagedEnd{write: func(b []byte) { shown = append(shown, b...) }})
				t.Cleanup(s.end)
				s.talk.Begin(protocol.StatusIdle)
				s.known.Note(&probe.State{})
				ends := socketPair(t)
				postgres := ends[1]
				var reader sync.WaitGroup
				asked := sync.OnceFunc(func() {
					postgres.Close()
					reader.Go(func() {
						_ = s.receiveFromPostgres() // it ends with the connection
						s.talk.Leave()
						s.talk.Close() // as hangUp does, which ends the sockets too
					})
				})
				s.up = transport.NewStream(&unreadEnd{ends[0], asked}, nil)
				s.relay.in = transport.NewBuffer(s.up.Conn)
				give := func(unit []byte) {
					kind, n := protocol.NextUnit(unit)
					if s.handle(kind, unit[:n]) {
						_ = s.flush() // fails if Postgres has gone
					}
				}
				give(msgQuery("BEGIN"))
				if !s.block.Held {
					t.Fatalf("the block is not held back; the client is shown\n%s", show(shown))
				}
				shown = nil
				farewell := saying("F57P01")
				if _, err := postgres.Write(farewell); err != nil {
					t.Fatal(err)
				}
				if gone {
					postgres.Close()
				}
				give(end)
				asked() // if the session has not asked Postgres, what it has said last is read now
				reader.Wait()
				if !bytes.Equal(shown, farewell) {
					t.Errorf("the client is shown\n%s\nwant the farewell of Postgres alone", show(shown))
				}
			})
		}
	}
}
