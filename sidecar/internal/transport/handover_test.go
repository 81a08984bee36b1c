package transport

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// A process that dies before it serves changes nothing; one that serves gets the place,
// and the lock with it.
func TestHandover(t *testing.T) {
	dir := testkit.SocketDir(t)
	old, err := ListenUnix(dir, testPort, SocketAccess{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := NewOffer(old.Path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan bool, 1)
	go func() {
		served <- offer.Serve(t.Context(), func() (map[string]*os.File, error) {
			client, lock, err := old.Files()
			return map[string]*os.File{"client": client, "lock": lock}, err
		}, func() {})
	}()
	dies, _, err := TakeOver(dir, testPort)
	if err != nil || dies == nil {
		t.Fatalf("%v, error %v", dies, err)
	}
	given, err := net.FileListener(dies.Files["client"])
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := Adopt(dir, testPort, Inherited{Client: given, Lock: dies.Files["lock"]})
	if err != nil {
		t.Fatal(err)
	}
	delete(dies.Files, "lock") // it is the socket's
	adopted.Close()
	dies.Close()
	if _, err := os.Lstat(old.Path); err != nil {
		t.Errorf("a process that came to nothing has taken the old one's path away: %v", err)
	}

	taken, _, err := TakeOver(dir, testPort)
	if err != nil || taken == nil {
		t.Fatalf("%v, error %v", taken, err)
	}
	listener, err := net.FileListener(taken.Files["client"])
	if err != nil {
		t.Fatal(err)
	}
	socket, err := Adopt(dir, testPort, Inherited{Client: listener, Lock: taken.Files["lock"]})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := taken.Ready(); err != nil {
		t.Fatal(err)
	}
	socket.Own()
	if !<-served {
		t.Error("the old process was not told")
	}
	old.Keep()
	old.Close()
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = conn.Close()
		}
		accepted <- err
	}()
	if conn, err := net.Dial("unix", socket.Path); err != nil {
		t.Errorf("connect to the new process: %v", err)
	} else {
		conn.Close()
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if _, err := ListenUnix(dir, testPort, SocketAccess{}, nil); err == nil {
		t.Error("the new process does not hold the lock")
	}
	socket.Close()
	if _, err := os.Lstat(socket.Path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// A third process is told who is in its way, and gets the place when the second one is gone.
func TestPlaceIsAskedForTwice(t *testing.T) {
	t.Parallel()
	dir := testkit.SocketDir(t)
	offer, err := NewOffer(SocketPath(dir, testPort))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan bool, 1)
	go func() {
		served <- offer.Serve(ctx, func() (map[string]*os.File, error) {
			lock, err := os.Open(dir)
			return map[string]*os.File{"lock": lock}, err
		}, func() {})
	}()
	second, _, err := TakeOver(dir, testPort)
	if err != nil || second == nil {
		t.Fatalf("%v, error %v", second, err)
	}
	if third, _, err := TakeOver(dir, testPort); third != nil || err == nil || !strings.Contains(err.Error(), "another one may have asked before") {
		t.Fatalf("while another process has not said that it serves: %v, error %v", third, err)
	}
	second.Close()
	third, _, err := TakeOver(dir, testPort)
	if err != nil || third == nil {
		t.Fatalf("behind one that is gone: %v, error %v", third, err)
	}
	third.Close()
	cancel()
	if <-served {
		t.Error("nobody said that it serves")
	}
}

// Where nobody listens, whoever wants the place has the lock at once, and listens with it.
func TestTakeOverWhereNobodyListens(t *testing.T) {
	dir := testkit.SocketDir(t)
	taken, lock, err := TakeOver(dir, testPort)
	if taken != nil || lock == nil || err != nil {
		t.Fatalf("%v, lock %v, error %v", taken, lock, err)
	}
	if other, err := ListenUnix(dir, testPort, SocketAccess{}, nil); err == nil {
		other.Close()
		t.Fatal("another process listens there")
	}
	socket, err := ListenUnix(dir, testPort, SocketAccess{}, lock)
	if err != nil {
		t.Fatal(err)
	}
	socket.Close()
	again, err := ListenUnix(dir, testPort, SocketAccess{}, nil)
	if err != nil {
		t.Fatalf("the lock is still held: %v", err)
	}
	again.Close()
}

// The interleaving of TakeOver: the sidecar that listens offers its place once it was asked for
// it in vain, or has left by then, or does neither.
func TestTakeOverOfOneThatStarts(t *testing.T) {
	offered := func(t *testing.T, s *Socket, files func() (map[string]*os.File, error)) {
		offer, err := NewOffer(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			offer.Serve(t.Context(), files, func() {})
			close(done)
		}()
		t.Cleanup(func() { <-done })
	}
	for name, test := range map[string]struct {
		// meanwhile is what happens between the first question and the second.
		meanwhile              func(t *testing.T, s *Socket) (again bool)
		taken, locked, refused bool
	}{
		"it offers its place": {func(t *testing.T, s *Socket) bool {
			offered(t, s, func() (map[string]*os.File, error) {
				client, lock, err := s.Files()
				return map[string]*os.File{"client": client, "lock": lock}, err
			})
			return true
		}, true, false, false},
		"it leaves":  {func(t *testing.T, s *Socket) bool { s.Close(); return true }, false, true, false},
		"it is slow": {func(*testing.T, *Socket) bool { return false }, false, false, true},
		"it offers its place and fails to hand it over, then leaves": {func(t *testing.T, s *Socket) bool {
			offered(t, s, func() (map[string]*os.File, error) {
				s.Close()
				return nil, os.ErrClosed
			})
			return true
		}, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := testkit.SocketDir(t)
			s, err := ListenUnix(dir, testPort, SocketAccess{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close) // once nobody serves an offer any more
			asked := 0
			taken, lock, err := takeOver(dir, testPort, func() bool {
				asked++
				return asked > 1 || test.meanwhile(t, s)
			})
			if (taken != nil) != test.taken || (lock != nil) != test.locked || (err != nil) != test.refused {
				t.Errorf("taken %v, lock %v, error %v", taken, lock, err)
			}
			if err != nil && !strings.Contains(err.Error(), "try again") {
				t.Errorf("it does not say what to do: %v", err)
			}
			if asked == 0 {
				t.Error("the first question was not in vain")
			}
			if taken != nil {
				taken.Close()
			}
			if lock != nil {
				lock.Close()
			}
		})
	}
}

// An offer that is taken by nobody leaves no path.
func TestOfferThatNobodyTakes(t *testing.T) {
	dir := testkit.SocketDir(t)
	path := SocketPath(dir, testPort)
	offer, err := NewOffer(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if offer.Serve(ctx, nil, nil) {
		t.Error("taken by nobody")
	}
	if _, err := os.Lstat(path + nextSuffix); !os.IsNotExist(err) {
		t.Errorf("the offer is still there: %v", err)
	}
}
