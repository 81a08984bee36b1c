package standard

import (
	"context"
	"math"
	"os"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/target"
)

// run has a benchmark measure for a moment.
func run(t *testing.T, benchmark string, protocol target.Protocol, targets ...string) report.Run {
	t.Helper()
	found, err := Run(t.Context(), Options{
		Benchmark: benchmark, Protocol: protocol, Targets: targets, Clients: 2, Scale: 1, Rounds: 1, Turn: time.Second, Seed: 1,
		Echo: []string{os.Args[0], echoYardstick}, Target: target.Options{Program: freshet.Path(t), Staleness: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range found.Targets {
		w := &target.Whole
		t.Logf("%-15s %6.0f/s, p50 %.0f µs, p99 %.0f µs, hit %.2f, processor %v", target.Name, w.PerSecond, w.Read.P50, w.Read.P99, w.HitRatio, w.ProcessorUS)
		if target.Void != "" || len(target.Turns) != 1 || w.Reads == 0 || w.PerSecond <= 0 || w.Read.P99 < w.Read.P50 || w.Read.P50 <= 0 {
			t.Errorf("%s: void %q, %+v", target.Name, target.Void, *w)
		}
	}
	return found
}

// TestPgbenchMeasures: pgbench's TPC-B measures targets, and what it has left behind is read
// through them as from Postgres. The yardsticks measure beside it.
func TestPgbenchMeasures(t *testing.T) {
	t.Parallel()
	found := run(t, "pgbench-tpcb", target.Prepared, "direct", "freshet", redisYardstick, echoYardstick)
	for _, of := range found.Targets[:2] {
		if of.Compared == 0 || of.Different > 0 || of.AtRest == 0 || of.WrongAtRest > 0 {
			t.Errorf("%s: %d of %d answers differ before, %d of %d after", of.Name, of.Different, of.Compared, of.WrongAtRest, of.AtRest)
		}
	}
	if hit := found.Targets[1].Whole.HitRatio; hit < 0 {
		t.Errorf("the sidecar has a hit ratio of %v", hit)
	}
}

// TestSysbenchMeasures is the same of sysbench.
func TestSysbenchMeasures(t *testing.T) {
	t.Parallel()
	found := run(t, "sysbench-read-write", target.Simple, "freshet")
	if of := found.Targets[0]; of.AtRest == 0 || of.WrongAtRest > 0 || of.Different > 0 {
		t.Errorf("%d answers differ before, %d of %d after", of.Different, of.WrongAtRest, of.AtRest)
	}
}

// TestATargetThatFailsIsVoid: the others go on.
func TestATargetThatFailsIsVoid(t *testing.T) {
	t.Parallel()
	turns := 0
	playing := func(name string, err error) *player {
		return &player{found: report.Target{Name: name}, turn: func(context.Context, time.Duration) (report.Turn, error) {
			turns++
			return report.Turn{Reads: 1}, err
		}}
	}
	fails, works := playing("fails", context.DeadlineExceeded), playing("works", nil)
	play(t.Context(), []*player{fails, works}, &Options{Rounds: 3})
	if turns != 4 || fails.found.Void == "" || works.found.Void != "" || len(works.found.Turns) != 3 {
		t.Errorf("%d turns; %+v, %+v", turns, fails.found, works.found)
	}
}

func TestFiguresAreRead(t *testing.T) {
	t.Parallel()
	l := sysbenchLatency("       value  ------------- distribution ------------- count\n       0.100 |************ 90\n       0.500 |* 9\n       2.000 | 1\n")
	if l.Count != 100 || l.P50 != 100 || l.P90 != 500 || l.P99 != 2000 || l.Max != 2000 || math.Abs(l.Mean-155) > 0.001 {
		t.Errorf("sysbench's latencies are %+v", l)
	}
	if tps, err := figure(pgbenchTPS, "number of failed transactions: 0\ntps = 123.5 (without initial connection time)\n"); err != nil || tps != 123.5 {
		t.Errorf("pgbench's figure is %v, %v", tps, err)
	}
	if _, err := figure(pgbenchTPS, "connection refused"); err == nil {
		t.Error("a figure is read where there is none")
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	valid := Options{Benchmark: "pgbench-tpcb", Protocol: target.Extended, Targets: []string{"direct"}, Clients: 1, Scale: 1, Rounds: 1, Turn: time.Second}
	for name, spoil := range map[string]func(*Options){
		"benchmark": func(o *Options) { o.Benchmark = "tpc-c" }, "protocol": func(o *Options) { o.Benchmark = "sysbench-read-only" },
		"targets": func(o *Options) { o.Targets = nil }, "one twice": func(o *Options) { o.Targets = []string{"direct", "direct"} },
		"clients": func(o *Options) { o.Clients = 0 }, "turn": func(o *Options) { o.Turn = time.Millisecond }, "scale": func(o *Options) { o.Scale = 0 },
	} {
		o := valid
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&o)
		if err := o.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
