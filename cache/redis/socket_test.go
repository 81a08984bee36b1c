package redis

import (
	"net"
	"testing"
	"time"
)

// connected is a socket and its other side.
func connected(t *testing.T) (*socket, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := dialer(time.Minute)(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = other.Close()
	})
	return conn.(*socket), other
}

// A connection that has rested is looked at before it is used, whatever deadline its last
// exchange has left; one that has just answered is not.
func TestRestedConnectionIsLookedAt(t *testing.T) {
	t.Parallel()
	s, other := connected(t)
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	look := func() {
		t.Helper()
		if err := s.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := raw.Read(func(uintptr) bool { looks++; return true }); err != nil {
			t.Fatal(err)
		}
	}
	if look(); looks != 1 {
		t.Fatalf("%d looks at a connection on which nothing was said yet", looks)
	}
	if _, err := other.Write([]byte("an answer")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	s.heard = time.Now().Add(time.Hour)
	if look(); looks != 1 {
		t.Errorf("%d looks at a connection that has just answered", looks-1)
	}
	s.heard = time.Now().Add(-restMin)
	if err := s.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if look(); looks != 2 {
		t.Errorf("%d looks at a connection that has rested", looks-1)
	}
}
