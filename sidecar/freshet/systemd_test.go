package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// notifyListener plays the service manager.
type notifyListener struct{ conn *net.UnixConn }

// listenNotify makes programs started by the test tell it about themselves.
func listenNotify(t *testing.T) notifyListener {
	t.Helper()
	path := filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return notifyListener{conn}
}

// A sidecar says that it is alive as often as the service manager wants to hear it.
func TestWatchdogIsFed(t *testing.T) {
	dsn, _ := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*"))
	l := listenNotify(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		feedWatchdog(ctx, s, slog.New(slog.DiscardHandler))
	}()
	for range 3 {
		if got := l.read(t); got != "WATCHDOG=1" {
			t.Errorf("the service manager is told %q", got)
		}
	}
	cancel()
	<-done
}

func (l notifyListener) read(t *testing.T) string {
	t.Helper()
	if err := l.conn.SetReadDeadline(time.Now().Add(servers.EventuallyMax)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := l.conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// await reads states until one is the wanted one.
func (l notifyListener) await(t *testing.T, want string) {
	t.Helper()
	var got string
	for range 100 {
		if got = l.read(t); got == want {
			return
		}
		if !strings.HasPrefix(got, "STATUS=") {
			break
		}
	}
	t.Fatalf("the service manager hears %q, want %q", got, want)
}
