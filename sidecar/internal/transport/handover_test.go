package transport

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A process that dies before it serves changes nothing; one that serves gets the place,
// and the lock with it.
func TestHandover(t *testing.T) {
	dir, err := os.MkdirTemp("", "freshet")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	old, err := ListenUnix(dir, 6432, SocketAccess{})
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
	dies, err := TakeOver(old.Path)
	if err != nil || dies == nil {
		t.Fatalf("%v, error %v", dies, err)
	}
	given, err := net.FileListener(dies.Files["client"])
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := Adopt(dir, 6432, Inherited{Client: given, Lock: dies.Files["lock"]})
	if err != nil {
		t.Fatal(err)
	}
	delete(dies.Files, "lock") // it is the socket's
	adopted.Close()
	dies.Close()
	if _, err := os.Lstat(old.Path); err != nil {
		t.Errorf("a process that came to nothing has taken the old one's path away: %v", err)
	}

	taken, err := TakeOver(old.Path)
	if err != nil || taken == nil {
		t.Fatalf("%v, error %v", taken, err)
	}
	listener, err := net.FileListener(taken.Files["client"])
	if err != nil {
		t.Fatal(err)
	}
	socket, err := Adopt(dir, 6432, Inherited{Client: listener, Lock: taken.Files["lock"]})
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
	if _, err := ListenUnix(dir, 6432, SocketAccess{}); err == nil {
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
	dir, err := os.MkdirTemp("", "freshet")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	offer, err := NewOffer(path)
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
	second, err := TakeOver(path)
	if err != nil || second == nil {
		t.Fatalf("%v, error %v", second, err)
	}
	if third, err := TakeOver(path); third != nil || err == nil || !strings.Contains(err.Error(), "another one may have asked before") {
		t.Fatalf("while another process has not said that it serves: %v, error %v", third, err)
	}
	second.Close()
	third, err := TakeOver(path)
	if err != nil || third == nil {
		t.Fatalf("behind one that is gone: %v, error %v", third, err)
	}
	third.Close()
	cancel()
	if <-served {
		t.Error("nobody said that it serves")
	}
}

func TestNobodyOffersAPlace(t *testing.T) {
	dir, err := os.MkdirTemp("", "freshet")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := SocketPath(dir, 6432)
	if taken, err := TakeOver(path); taken != nil || err != nil {
		t.Errorf("%v, error %v", taken, err)
	}
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
