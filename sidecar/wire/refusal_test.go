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

// Who cannot be connected for want of file descriptors reads that, and not that
// Postgres may be down.
func TestRefusalForWantOfDescriptors(t *testing.T) {
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
				t.Errorf("%v: %q, %v", test.err, message, err)
			}
		}
		if all := e.server.counters.SessionsRefused.Load(); test.counts(&e.server.counters) != 1 || all != 1 {
			t.Errorf("%v: not counted by its reason; %d in all", test.err, all)
		}
	}
}

// Who cannot even be accepted for want of file descriptors reads that too, by way of one that is
// kept for it; where nobody came after all, nothing is counted.
func TestRefusalOfWhoCannotBeAccepted(t *testing.T) {
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
		t.Error("somebody is refused without a file descriptor")
	}
	last.hold()
	defer last.giveUp(lastFilesMax)
	if s.refuseNext(l, &last) || s.counters.SessionsRefused.Load() != 0 {
		t.Error("nobody came, and somebody was refused")
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
		t.Fatal("nobody was refused")
	}
	message, err := io.ReadAll(client)
	for _, text := range []string{"SFATAL\x00", "C53300\x00", "raise LimitNOFILE"} {
		if err != nil || !strings.Contains(string(message), text) {
			t.Errorf("%q, %v", message, err)
		}
	}
	if s.counters.RefusedByFiles.Load() != 1 || s.counters.SessionsRefused.Load() != 1 || len(last) != lastFilesMax {
		t.Errorf("%d refused, %d file descriptors kept", s.counters.SessionsRefused.Load(), len(last))
	}
}
