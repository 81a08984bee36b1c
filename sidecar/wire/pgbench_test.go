package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// The scripts read the accounts of pgbench by their key, as its own -S does, from
// a range that fits into the cache; the second cannot be cached.
const (
	cachedScript   = "\\set aid random(1, 1000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
	uncachedScript = "\\set aid random(1, 1000)\nSELECT abalance, now() FROM pgbench_accounts WHERE aid = :aid;\n"
)

// BenchmarkPgbench compares pgbench through a sidecar with pgbench at Postgres
// itself, in turns: the ratio of transactions per second, median of the rounds.
// b.N is the number of rounds.
func BenchmarkPgbench(b *testing.B) {
	bed := newTestbed(b, "")
	run(b, bed.postgres, "pgbench", bed.pgbenchArgs(bed.postgres.SocketDir(), bed.postgres.Port(), "-i", "-q")...)
	s := bed.sidecar()
	eventually(b, "pgbench's tables to be watched", func() bool { return len(s.follower.State().Tables()) >= 4 })
	for _, script := range []struct{ name, text string }{{"cached", cachedScript}, {"uncached", uncachedScript}} {
		file := filepath.Join(b.TempDir(), script.name+".sql")
		if err := os.WriteFile(file, []byte(script.text), 0o600); err != nil {
			b.Fatal(err)
		}
		for _, mode := range []string{"simple", "extended", "prepared"} {
			b.Run(script.name+"/"+mode, func(b *testing.B) {
				args := []string{"-n", "-M", mode, "-c", "8", "-j", "2", "-f", file}
				through := func(seconds int) float64 {
					return bed.pgbench(s.dir, testPort, append(args, "-T", strconv.Itoa(seconds))...)
				}
				through(1) // warms the cache
				var ratios []float64
				for b.Loop() {
					direct := bed.pgbench(bed.postgres.SocketDir(), bed.postgres.Port(), append(args, "-T", "3")...)
					ratios = append(ratios, through(3)/direct)
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "x-direct")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func (b *testbed) pgbenchArgs(dir string, port int, more ...string) []string {
	return append([]string{"-h", dir, "-p", fmt.Sprint(port), "-U", "postgres"}, append(more, b.database)...)
}

var pgbenchTPS = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench runs pgbench and returns its transactions per second.
func (b *testbed) pgbench(dir string, port int, more ...string) float64 {
	b.t.Helper()
	out := run(b.t, b.postgres, "pgbench", b.pgbenchArgs(dir, port, more...)...)
	match := pgbenchTPS.FindStringSubmatch(out)
	if match == nil {
		b.t.Fatalf("pgbench printed no rate:\n%s", out)
	}
	tps, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return tps
}
