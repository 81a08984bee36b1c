package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// The scripts read the accounts of pgbench by their key, as pgbench's own -S does, from a range
// that fits into the cache. Only cachedScript and the read of changesScript can be cached, as the
// others ask for now(); changesScript then writes what it has read.
const (
	cachedScript   = "\\set aid random(1, 1000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
	uncachedScript = "\\set aid random(1, 1000)\nSELECT abalance, now() FROM pgbench_accounts WHERE aid = :aid;\n"
	rowsScript     = "SELECT *, now() FROM pgbench_accounts WHERE aid <= 200;\n"
	blockScript    = "\\set aid random(1, 1000)\nBEGIN;\nSELECT abalance, now() FROM pgbench_accounts WHERE aid = :aid;\nEND;\n"
	changesScript  = "\\set aid random(1, 1000)\nBEGIN;\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" +
		"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\nEND;\n"
)

// newPgbenchBed makes a database with pgbench's tables and a sidecar that watches them. direct is
// the place of Postgres itself, relayed that of a PgBouncer before it.
func newPgbenchBed(b *testing.B) (bed *testbed, s *side, direct, relayed place) {
	b.Helper()
	bed = newTestbed(b, "")
	direct = place{bed.postgres.SocketDir(), bed.postgres.Port()}
	run(b, bed.postgres, "pgbench", bed.pgbenchArgs(direct, "-i", "-q")...)
	s = bed.sidecar(asInstaller)
	s.shortRuns.Store(shortRunsMin)
	servers.Eventually(b, "pgbench's tables to be watched", func() bool { return len(s.follower.State().Tables()) >= 4 })
	bouncer := servers.StartPgBouncer(b, bed.postgres, servers.PgBouncerOptions{})
	return bed, s, direct, place{bouncer.SocketDir(), bouncer.Port()}
}

// BenchmarkPgbench compares pgbench through a sidecar with pgbench at Postgres itself, and where not
// everything is cached also with pgbench through PgBouncer, which only relays. They take turns: the
// ratios of transactions per second are medians of the rounds. b.N is the number of rounds.
func BenchmarkPgbench(b *testing.B) {
	bed, s, direct, relayed := newPgbenchBed(b)
	through := place{s.dir, testPort}
	for _, script := range []struct {
		name, text string
		against    map[string]place
	}{
		{"cached", cachedScript, map[string]place{"x-direct": direct}},
		{"uncached", uncachedScript, map[string]place{"x-direct": direct, "x-pgbouncer": relayed}},
		{"uncached-rows", rowsScript, map[string]place{"x-direct": direct, "x-pgbouncer": relayed}},
		{"uncached-transaction", blockScript, map[string]place{"x-direct": direct, "x-pgbouncer": relayed}},
		{"changes", changesScript, map[string]place{"x-direct": direct, "x-pgbouncer": relayed}},
	} {
		file := filepath.Join(b.TempDir(), script.name+".sql")
		if err := os.WriteFile(file, []byte(script.text), 0o600); err != nil {
			b.Fatal(err)
		}
		for _, mode := range []string{"simple", "extended", "prepared"} {
			b.Run(script.name+"/"+mode, func(b *testing.B) {
				args := []string{"-n", "-M", mode, "-c", "8", "-j", "2", "-f", file, "-T"}
				bed.pgbench(through, append(args, "1")...) // warms the cache
				ratios := map[string][]float64{}
				for b.Loop() {
					own := bed.pgbench(through, append(args, "3")...)
					for name, other := range script.against {
						ratios[name] = append(ratios[name], own/bed.pgbench(other, append(args, "3")...))
					}
				}
				for name, all := range ratios {
					slices.Sort(all)
					b.ReportMetric(all[len(all)/2], name)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// place is where pgbench connects to.
type place struct {
	dir  string
	port int
}

// pgbenchArgs are the arguments that lead pgbench to a place and the bed's database, and more.
func (b *testbed) pgbenchArgs(at place, more ...string) []string {
	return append([]string{"-h", at.dir, "-p", fmt.Sprint(at.port), "-U", "postgres"}, append(more, b.database)...)
}

var pgbenchTPS = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench runs pgbench and returns its transactions per second.
func (b *testbed) pgbench(at place, more ...string) float64 {
	b.t.Helper()
	out := run(b.t, b.postgres, "pgbench", b.pgbenchArgs(at, more...)...)
	return number(b.t, pgbenchTPS, out)
}
