package wire

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// distance is how long the network takes from client to server and back.
const distance = 500 * time.Microsecond

// BenchmarkNotHittingFromAfar is the case of a Postgres that is not on this machine: all that
// goes to it, the follower's looks too, takes distance there and back. b.N is the number of
// rounds.
func BenchmarkNotHittingFromAfar(b *testing.B) {
	bed := newTestbed(b, "")
	near := place{bed.postgres.SocketDir(), bed.postgres.Port()}
	run(b, bed.postgres, "pgbench", bed.pgbenchArgs(near, "-i", "-q")...)
	direct := place{moveAway(b, near), near.port}
	s := bed.sidecar(asInstaller, func(_ *engine.Options, f *invalidation.FollowerOptions) { f.ConnConfig.Host = direct.dir })
	s.shortRuns.Store(shortRunsMin)
	servers.Eventually(b, "pgbench's tables to be watched", func() bool { return len(s.follower.State().Tables()) >= 4 })
	through := place{s.dir, testPort}
	miss, hit := scriptFile(b, "miss", missScript), scriptFile(b, "hit", cachedScript)
	turns := []contender{
		{"direct", direct, nil, []string{miss}},
		{"miss", through, s, []string{miss}},
		{"hit", through, s, []string{hit}},
	}
	var rows strings.Builder
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", mode, clients), func(b *testing.B) {
				taken := bed.takeTurns(b, mode, clients, turns)
				fmt.Fprintf(&rows, "| %s, %d | %.0f µs | %.2f | %.1f |\n", mode, clients, float64(clients)*1e6/taken["direct"].tps,
					taken["miss"].tps/taken["direct"].tps, taken["hit"].tps/taken["direct"].tps)
				b.ReportMetric(taken["miss"].tps/taken["direct"].tps, "miss/direct")
				b.ReportMetric(taken["hit"].tps/taken["direct"].tps, "hit/direct")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	fmt.Printf("\n| protocol, clients | direct, a statement | miss / direct | hit / direct |\n|---|---|---|---|\n%s\n", rows.String())
}

// moveAway returns the directory of a socket from which all takes longer to a server.
func moveAway(b *testing.B, server place) (dir string) {
	b.Helper()
	dir = socketDir(b)
	name := fmt.Sprintf(".s.PGSQL.%d", server.port)
	listener, err := net.Listen("unix", filepath.Join(dir, name))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("unix", filepath.Join(server.dir, name))
			if err != nil {
				client.Close()
				continue
			}
			go delay(client, upstream)
			go delay(upstream, client)
		}
	}()
	return dir
}

// underWay are bytes that arrive at a time.
type underWay struct {
	bytes []byte
	at    time.Time
}

// delay passes on what comes from one connection, each byte half of distance later, and
// closes the other one behind the last.
func delay(from, to net.Conn) {
	sent := make(chan underWay, 1024)
	go func() {
		defer to.Close()
		for w := range sent {
			if wait := time.Until(w.at); wait > 0 {
				pause := syscall.NsecToTimespec(int64(wait)) // time.Sleep is off by a millisecond
				_ = syscall.Nanosleep(&pause, nil)
			}
			_, _ = to.Write(w.bytes) // whoever has left is noticed by the other way
		}
	}()
	defer close(sent)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			sent <- underWay{append([]byte(nil), buffer[:n]...), time.Now().Add(distance / 2)}
		}
		if err != nil {
			return
		}
	}
}
