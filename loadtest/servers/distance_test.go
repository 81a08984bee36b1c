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
	ended, arrived := make(chan struct{}), make(chan time.Time, 1)
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for in := bufio.NewReader(conn); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			arrived <- time.Now()
			if _, err := io.WriteString(conn, line); err != nil {
				return
			}
		}
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
		there := <-arrived
		if to, back := there.Sub(began), time.Since(there); to < apart/2 || back < apart/2 {
			t.Errorf("there took %v and back %v, want %v at least of each", to, back, apart/2)
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
