package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// What does not hit is measured with pgbench's accounts, read by their key. missScript asks with a
// number that hardly comes again; relayedScript reads the same row by a statement that cannot be
// cached; hotReadScript and hotSetScript read and write some rows far more often than others, in
// the proportion that a benchmark gives them.
const (
	missScript    = "\\set aid random(1, 100000)\n\\set once random(1, 2000000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid AND :once > 0;\n"
	relayedScript = "\\set aid random(1, 100000)\n\\set once random(1, 2000000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid AND :once > 0 AND random() >= 0;\n"
	hotReadScript = "\\set aid random_zipfian(1, 20000, 1.05)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
	hotSetScript  = "\\set aid random_zipfian(1, 20000, 1.05)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n"
)

// contender is one of the ways to run scripts that are compared: they take turns in each round.
type contender struct {
	name    string
	at      place
	side    *side // the sidecar at that place, nil for Postgres itself or PgBouncer
	scripts []string
}

// reading is what was measured in one turn.
type reading struct {
	tps float64
	// processor and allocations are those of the process that the sidecar and the benchmark share,
	// for each statement.
	processor   time.Duration
	allocations float64
	// These are the sidecar's.
	looksPerThousand, looksPerSecond, hitRatio, waitsPerThousand float64
}

// BenchmarkNotHitting measures what statements cost that are not answered from the cache. In each
// round take turns: Postgres itself, relayed statements, misses without Redis and with it, hits, and
// two mixes of reads with writes of the same rows. The numbers are medians of the rounds; b.N is the
// number of rounds. The last lines that it prints are the tables of docs/benchmarks.md.
func BenchmarkNotHitting(b *testing.B) {
	bed := newTestbed(b, "")
	direct := place{bed.postgres.SocketDir(), bed.postgres.Port()}
	run(b, bed.postgres, "pgbench", bed.pgbenchArgs(direct, "-i", "-q")...)
	alone, shared := bed.sidecar(asInstaller), bed.sidecar(asInstaller, withRedis(servers.StartRedis(b, servers.RedisOptions{}).URL()))
	for _, s := range []*side{alone, shared} {
		s.shortRuns.Store(shortRunsMin)
		servers.Eventually(b, "pgbench's tables to be watched", func() bool { return len(s.follower.State().Tables()) >= 4 })
	}
	dir := b.TempDir()
	script := func(name, text string) string {
		file := filepath.Join(dir, name+".sql")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return file
	}
	miss, relayed, hit := script("miss", missScript), script("relayed", relayedScript), script("hit", cachedScript)
	hotRead, hotSet := script("read", hotReadScript), script("set", hotSetScript)
	mixed, seldom := []string{hotRead + "@90", hotSet + "@10"}, []string{hotRead + "@99", hotSet + "@1"}
	through, sharing := place{alone.dir, testPort}, place{shared.dir, testPort}
	turns := []contender{
		{"direct", direct, nil, []string{miss}},
		{"relayed", through, alone, []string{relayed}},
		{"miss", through, alone, []string{miss}},
		{"miss, Redis", sharing, shared, []string{miss}},
		{"hit", through, alone, []string{hit}},
		{"mixed, direct", direct, nil, mixed},
		{"mixed", through, alone, mixed},
		{"1 % writes, direct", direct, nil, seldom},
		{"1 % writes", through, alone, seldom},
	}
	var ratios, costs strings.Builder
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, clients := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", mode, clients), func(b *testing.B) {
				taken := bed.takeTurns(b, mode, clients, turns)
				fmt.Fprintf(&ratios, "| %s, %d | %.2f | %.2f | %.2f | %.2f | %.2f | %s | %s | %.2f | %.2f |\n", mode, clients,
					taken["relayed"].tps/taken["direct"].tps, taken["miss"].tps/taken["relayed"].tps,
					taken["miss, Redis"].tps/taken["relayed"].tps, taken["miss"].tps/taken["direct"].tps, taken["hit"].tps/taken["direct"].tps,
					breakEven(taken, "miss"), breakEven(taken, "relayed"), taken["mixed"].tps/taken["mixed, direct"].tps, taken["1 % writes"].tps/taken["1 % writes, direct"].tps)
				for _, t := range turns {
					if t.side != nil {
						costs.WriteString(taken[t.name].row(fmt.Sprintf("%s, %d: %s", mode, clients, t.name)))
					}
				}
				b.ReportMetric(taken["miss"].tps/taken["relayed"].tps, "miss/relayed")
				b.ReportMetric(taken["miss, Redis"].tps/taken["relayed"].tps, "redis/relayed")
				b.ReportMetric(float64(taken["miss"].processor)/float64(taken["relayed"].processor), "processor-miss/relayed")
				b.ReportMetric(taken["miss"].looksPerThousand, "looks/1000")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	fmt.Printf("\n| protocol, clients | relayed / direct | miss / relayed | miss with Redis / relayed | miss / direct | hit / direct | break-even | of the relay | mixed / direct | 1 %% writes / direct |\n|---|---|---|---|---|---|---|---|---|---|\n%s"+
		"\n| protocol, clients: what | processor µs | allocations | looks per 1 000 | looks per second | answered here | wait for a look, per 1 000 |\n|---|---|---|---|---|---|---|\n%s\n", ratios.String(), costs.String())
}

// takeTurns has each contender take its turn in each round, and returns the medians by name.
func (b *testbed) takeTurns(bench *testing.B, mode string, clients int, turns []contender) map[string]reading {
	args := []string{"-n", "-M", mode, "-c", fmt.Sprint(clients), "-j", fmt.Sprint(min(clients, 2)), "-T"}
	taken := map[string][]reading{}
	for _, t := range turns {
		if t.side != nil {
			b.take(t, append(args, "1")) // has the statements analysed, and warms the cache for those that hit
		}
	}
	for bench.Loop() {
		for _, t := range turns {
			taken[t.name] = append(taken[t.name], b.take(t, append(args, "2")))
		}
	}
	medians := map[string]reading{}
	for name, all := range taken {
		medians[name] = reading{
			tps:              median(all, func(r reading) float64 { return r.tps }),
			processor:        time.Duration(median(all, func(r reading) float64 { return float64(r.processor) })),
			allocations:      median(all, func(r reading) float64 { return r.allocations }),
			looksPerThousand: median(all, func(r reading) float64 { return r.looksPerThousand }),
			looksPerSecond:   median(all, func(r reading) float64 { return r.looksPerSecond }),
			hitRatio:         median(all, func(r reading) float64 { return r.hitRatio }),
			waitsPerThousand: median(all, func(r reading) float64 { return r.waitsPerThousand }),
		}
	}
	return medians
}

func median(all []reading, of func(reading) float64) float64 {
	values := make([]float64, 0, len(all))
	for _, r := range all {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

var pgbenchProcessed = regexp.MustCompile(`transactions actually processed: ([0-9]+)`)

// take runs a contender's scripts for one turn, and measures it.
func (b *testbed) take(t contender, args []string) reading {
	b.t.Helper()
	args = slices.Clone(args)
	for _, script := range t.scripts {
		args = append(args, "-f", script)
	}
	before := b.meter(t.side)
	out := run(b.t, b.postgres, "pgbench", b.pgbenchArgs(t.at, args...)...)
	after := b.meter(t.side)
	tps, statements := number(b.t, pgbenchTPS, out), number(b.t, pgbenchProcessed, out)
	looks, took := float64(after.looks-before.looks), after.at.Sub(before.at).Seconds()
	answered := float64(after.answered - before.answered)
	return reading{
		tps:              tps,
		processor:        time.Duration(float64(after.processor-before.processor) / statements),
		allocations:      float64(after.allocations-before.allocations) / statements,
		looksPerThousand: 1000 * looks / statements,
		looksPerSecond:   looks / took,
		hitRatio:         answered / statements,
		waitsPerThousand: 1000 * float64(after.waits-before.waits) / statements,
	}
}

// row is the reading as a line of the table of costs.
func (r reading) row(name string) string {
	return fmt.Sprintf("| %s | %.0f | %.0f | %.0f | %.0f | %.0f %% | %.0f |\n", name,
		float64(r.processor)/float64(time.Microsecond), r.allocations, r.looksPerThousand, r.looksPerSecond, 100*r.hitRatio, r.waitsPerThousand)
}

// breakEven is the ratio of hits above which a sidecar is faster than Postgres alone, if every
// statement that does not hit takes as long as those of the contender way.
func breakEven(taken map[string]reading, way string) string {
	m, o, h := 1/taken[way].tps, 1/taken["direct"].tps, 1/taken["hit"].tps
	if h >= o {
		return "never"
	}
	return fmt.Sprintf("%.0f %%", 100*max((m-o)/(m-h), 0))
}

// meter is what is counted of a sidecar and of this process up to a moment.
type meter struct {
	at                                  time.Time
	processor                           time.Duration
	allocations, looks, answered, waits uint64
}

// meter reads the counters. Without a sidecar its own are 0.
func (b *testbed) meter(s *side) meter {
	b.t.Helper()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	m := meter{
		at: time.Now(), processor: processorTime(b.t), allocations: memory.Mallocs,
	}
	if s != nil {
		m.looks = s.follower.Stats().Looks
		m.waits = s.cache.Stats().Unproven
		m.answered = s.count(HitL1) + s.count(HitL2) + s.count(Coalesced)
	}
	return m
}

// processorTime is how much this process has used.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// number is the first that pgbench has printed in this pattern.
func number(t testing.TB, pattern *regexp.Regexp, out string) float64 {
	t.Helper()
	match := pattern.FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("pgbench printed no %s:\n%s", pattern, out)
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
