package servers

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestDistanceTakesItsTimeBothWays(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "echo.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	const apart = 30 * time.Millisecond
	d, err := NewDistance(socket, apart)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", d.SocketPath())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	for range 3 {
		began := time.Now()
		if _, err := io.WriteString(conn, "there and back\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); err != nil || line != "there and back\n" {
			t.Fatalf("%q came back, %v", line, err)
		}
		if took := time.Since(began); took < apart {
			t.Errorf("there and back took %v, want %v at least", took, apart)
		}
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-ended // the server has lost its client
	if _, err := lines.ReadString('\n'); err == nil {
		t.Error("the connection outlives the distance")
	}
}

func TestProcessorTimeOfAServerGrows(t *testing.T) {
	t.Parallel()
	p := SharedPostgres(t)
	before := p.ProcessorTime()
	Eventually(t, "Postgres to have computed", func() bool {
		if err := p.execute("SELECT count(*) FROM generate_series(1, 200000)"); err != nil {
			t.Fatal(err)
		}
		return p.ProcessorTime() > before
	})
}
