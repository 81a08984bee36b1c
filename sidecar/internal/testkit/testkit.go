// Package testkit is what the tests of several packages of the sidecar need. Only
// tests import it.
package testkit

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"testing"
)

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

// FreeAddress is an address that nobody listens on, and nobody else is likely to: one of the many
// of this machine, where each of them is one.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Get asks for a URL, on a connection of its own.
func Get(t testing.TB, url string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, text := Ask(t, request)
	return response.StatusCode, text
}

// Ask sends a request, on a connection of its own, and reads the answer, whose body is closed.
func Ask(t testing.TB, request *http.Request) (response *http.Response, text string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// Closings are the ways in which one end of a connection says that it has said all.
var Closings = map[string]func(net.Conn) error{
	"full": net.Conn.Close,
	"half": func(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
}
