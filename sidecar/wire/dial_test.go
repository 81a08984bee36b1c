package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Where TLS is preferred and not demanded, its absence is not what is wrong.
func TestDialSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	address := filepath.Join(socketDir(t), "server") // nobody else can take it meanwhile
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { // a server without TLS, that is gone behind the first answer
		defer close(served)
		conn, err := listener.Accept()
		listener.Close()
		if err == nil {
			_, _ = io.ReadFull(conn, make([]byte, 8))
			_, _ = conn.Write([]byte{'N'})
			conn.Close()
		}
	}()
	preferred := upstream{{"unix", address, &tls.Config{}}, {"unix", address, nil}}
	if conn, err := preferred.dial(context.Background()); err == nil {
		conn.Close()
		t.Error("a server that is gone was reached")
	} else if strings.Contains(err.Error(), "TLS") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("the error is %v", err)
	}
	<-served
}

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
		s := &session{client: newStream(ours, nil)}
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
