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
		err  error
		says []string
	}{
		{fmt.Errorf("dial: %w", &os.SyscallError{Syscall: "socket", Err: syscall.EMFILE}), []string{"C53300\x00", "LimitNOFILE"}},
		{&os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}, []string{"C08006\x00", "Is Postgres running"}},
	} {
		client, ours := net.Pipe()
		s := &session{client: transport.NewStream(ours, nil)}
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
	}
}
