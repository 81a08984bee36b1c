package wire

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/transport"
)

// A client that cannot be connected to Postgres because the sidecar has no file descriptors left is
// told so, and not that Postgres may be down.
func TestClientThatCannotBeConnectedIsToldWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		says   []string
		counts func(*counters) uint64
	}{
		{fmt.Errorf("dial: %w", &os.SyscallError{Syscall: "socket", Err: syscall.EMFILE}), []string{"C53300\x00", "LimitNOFILE"}, func(c *counters) uint64 { return c.RefusedByFiles.Load() }},
		{&os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}, []string{"C08006\x00", "Is Postgres running"}, func(c *counters) uint64 { return c.RefusedUnreachable.Load() }},
	} {
		client, ours := net.Pipe()
		e := &entrance{identity: &identity{server: &Server{}}, line: &line{client: transport.NewStream(ours, nil)}}
		go func() {
			e.refuseUnconnected(test.err)
			ours.Close()
		}()
		message, err := io.ReadAll(client)
		for _, text := range test.says {
			if err != nil || !strings.Contains(string(message), text) {
				t.Errorf("%v: the client is told %q, %v, want %q in it", test.err, message, err, text)
			}
		}
		if all := e.server.counters.SessionsRefused.Load(); test.counts(&e.server.counters) != 1 || all != 1 {
			t.Errorf("%v: %d refusals are counted for this reason, %d in all, want 1 and 1", test.err, test.counts(&e.server.counters), all)
		}
	}
}

// A client that cannot even be accepted because no file descriptors are left is told so too: the
// sidecar gives up one of its lastFiles to accept it. Where no client waits, none is counted as
// refused.
func TestClientThatCannotBeAcceptedIsToldWhy(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{logger: slog.New(slog.DiscardHandler)}
	var last lastFiles
	if s.refuseNext(l, &last) {
		t.Error("a client was refused, though the sidecar keeps no file descriptor to accept it with")
	}
	last.hold()
	defer last.giveUp(lastFilesMax)
	if s.refuseNext(l, &last) || s.counters.SessionsRefused.Load() != 0 {
		t.Error("a client was refused, though none had connected")
	}
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if !s.refuseNext(l, &last) {
		t.Fatal("the client that had connected was not refused")
	}
	message, err := io.ReadAll(client)
	for _, text := range []string{"SFATAL\x00", "C53300\x00", "raise LimitNOFILE"} {
		if err != nil || !strings.Contains(string(message), text) {
			t.Errorf("the client is told %q, %v, want %q in it", message, err, text)
		}
	}
	if s.counters.RefusedByFiles.Load() != 1 || s.counters.SessionsRefused.Load() != 1 || len(last) != lastFilesMax {
		t.Errorf("%d clients were refused, %d of them for want of file descriptors, want 1 and 1; %d file descriptors are kept, want %d",
			s.counters.SessionsRefused.Load(), s.counters.RefusedByFiles.Load(), len(last), lastFilesMax)
	}
}
