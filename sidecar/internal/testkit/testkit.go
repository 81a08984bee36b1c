// Package testkit is what the tests of several packages of the sidecar need. Only
// tests import it.
package testkit

import (
	"net"
	"os"
	"testing"
	"time"
)

// EventuallyMax bounds what a test waits for; nothing takes nearly as long.
const EventuallyMax = time.Minute

// Eventually waits until something holds that what names.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(EventuallyMax); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// SocketDir makes a directory that lasts as long as the test, with a path short
// enough for a socket in it.
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Closings are the ways in which one end of a connection says that it has said all.
var Closings = map[string]func(net.Conn) error{
	"full": net.Conn.Close,
	"half": func(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
}
