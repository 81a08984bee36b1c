package wire

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// distance is how long a message takes to Postgres and its answer back, together.
const distance = 500 * time.Microsecond

// BenchmarkNotHittingFromAfar compares misses and hits with Postgres itself as if Postgres were on
// another machine: all that goes there, the follower's looks too, takes distance there and back. b.N
// is the number of rounds.
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

// moveAway returns the directory of a socket that leads to a server, with distance in between.
func moveAway(b *testing.B, server place) (dir string) {
	b.Helper()
	d, err := servers.NewDistance(filepath.Join(server.dir, fmt.Sprintf(".s.PGSQL.%d", server.port)), distance)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() }) // its files go with the process
	return d.SocketDir()
}
