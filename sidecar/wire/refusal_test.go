package wire

import (
	"fmt"
	"io"
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
		s := &session{server: &Server{}, client: transport.NewStream(ours, nil)}
		go func() {
			s.refuseUnconnected(test.err)
			ours.Close()
		}()
		message, err := io.ReadAll(client)
		for _, text := range test.says {
			if err != nil || !strings.Contains(string(message), text) {
				t.Errorf("%v: %q, %v", test.err, message, err)
			}
		}
		if all := s.server.counters.SessionsRefused.Load(); test.counts(&s.server.counters) != 1 || all != 1 {
			t.Errorf("%v: not counted by its reason; %d in all", test.err, all)
		}
	}
}
