package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// Where TLS is preferred and not demanded, its absence is not what is wrong.
func TestDialSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	address := filepath.Join(testkit.SocketDir(t), "server") // nobody else can take it meanwhile
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
	preferred := Upstream{{"unix", address, &tls.Config{}}, {"unix", address, nil}}
	if conn, err := preferred.Dial(context.Background()); err == nil {
		conn.Close()
		t.Error("a server that is gone was reached")
	} else if strings.Contains(err.Error(), "TLS") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("the error is %v", err)
	}
	<-served
}
