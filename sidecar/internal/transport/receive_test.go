package transport

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// connected returns both ends of a connection.
func connected(t *testing.T, network string) (near, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = testkit.SocketDir(t) + "/socket"
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

// TestLostEnd forces the interleaving of LostEnds: when the receiver begins, the
// poller has long reported the last bytes and the end behind them.
func TestLostEnd(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		for name, end := range testkit.Closings {
			for what, more := range map[string]bool{"waits": false, "wants more": true} {
				t.Run(network+"/"+name+"/"+what, func(t *testing.T) {
					t.Parallel()
					near, far := connected(t, network)
					reported(t, near, func() error { _, err := far.Write([]byte("last words")); return err })
					reported(t, near, func() error { return end(far) })

					s := NewStream(near, NewLostEnds())
					in := NewBuffer(s)
					heard := ""
					ended := make(chan error, 1)
					go func() {
						ended <- s.Receive(&in, func() (bool, error) {
							heard += string(in.Held())
							in.Drop(len(in.Held()))
							return more, nil
						})
					}()
					if s.raw != nil && !more {
						servers.Eventually(t, "the receiver to wait", s.noted.Load)
						s.ends.look()
					}
					select {
					case err := <-ended:
						if !errors.Is(err, io.EOF) || heard != "last words" {
							t.Errorf("the receiver heard %q and ended with %v", heard, err)
						}
					case <-time.After(servers.EventuallyMax):
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
	s := NewStream(near, NewLostEnds())
	in := NewBuffer(s)
	heard := make(chan string)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Receive(&in, func() (bool, error) {
			if said := string(in.Held()); said != "" {
				in.Drop(len(said))
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
	servers.Eventually(t, "the receiver to end", func() bool { s.ends.look(); return len(ended) > 0 })
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
		s := NewStream(near, NewLostEnds())
		in := NewBuffer(s)
		ended := make(chan error, 1)
		go func() { ended <- s.Receive(&in, func() (bool, error) { return false, nil }) }()
		s.HangUp()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the receiver ended with %v", network, err)
		}
	}
}
