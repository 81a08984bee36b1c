package load

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/loadtest/keys"
	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/loadtest/stale"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
)

// options are those of a short run.
func options(t *testing.T, name string, targets ...string) Options {
	t.Helper()
	w, err := workload.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	distribution, err := keys.Parse("zipf")
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Workload: w, Mix: workload.Mix{Rows: 500, Span: min(w.DefaultSpan, 50), Keys: distribution, Writes: 0.1},
		Protocol: target.Prepared, Targets: targets, Clients: 4, Rounds: 2, Turn: 200 * time.Millisecond,
		Shape: Flat, Seed: 1,
		Target: target.Options{Staleness: time.Second, TTL: 100 * time.Millisecond},
	}
}

// turnMax is as long as turns become where the machine is busy.
const turnMax = 5 * time.Second

// run is Run with turns so long that each target does enough in them.
func run(t *testing.T, o Options, enough func(report.Target) bool) []report.Target {
	t.Helper()
	for {
		found, err := Run(t.Context(), o)
		idle := err != nil && strings.HasSuffix(err.Error(), "not one operation succeeded: ") // nor failed
		if err != nil && !idle {
			t.Fatal(err)
		}
		if idle || slices.ContainsFunc(found.Targets, func(of report.Target) bool { return !enough(of) }) {
			if o.Turn *= 5; o.Turn <= turnMax {
				continue
			}
		}
		return found.Targets
	}
}

// readAndWritten reports whether there was some of each.
func readAndWritten(of report.Target) bool {
	return of.Whole.Judged > 0 && of.Whole.Reads > 0 && of.Whole.Writes > 0
}

// TestEveryTargetIsMeasured lets all targets take turns, for a moment.
func TestEveryTargetIsMeasured(t *testing.T) {
	t.Parallel()
	o := options(t, "point", target.Names()...)
	o.Protocol = target.Simple // with prepared statements, clients of Pgpool-II lock one another out
	o.Target.Program = freshet.Path(t)
	caches := func(name string) bool { return name != "direct" && name != "pgbouncer" }
	found := run(t, o, func(of report.Target) bool {
		return readAndWritten(of) && (!caches(of.Name) || of.Name == "pgpool" || of.Whole.HitRatio > 0)
	})
	if len(found) != len(o.Targets) {
		t.Fatalf("%d targets of %d", len(found), len(o.Targets))
	}
	for _, target := range found {
		w := &target.Whole
		t.Logf("%-14s %6.0f/s, hit %.2f, behind %d, stale %d, processor %v", target.Name, w.PerSecond, w.HitRatio, w.Behind, w.Stale, w.ProcessorUS)
		if w.Reads == 0 || w.Writes == 0 || w.Judged != w.Reads || w.Errors != 0 || len(target.Turns) != o.Rounds {
			t.Errorf("%s: %d reads, %d writes, %d judged, %d errors (%s) in %d turns", target.Name, w.Reads, w.Writes, w.Judged, w.Errors, w.FirstError, len(target.Turns))
		}
		if target.Compared == 0 || target.Different != 0 || target.Void != "" {
			t.Errorf("%s: %d of %d answers differ", target.Name, target.Different, target.Compared)
		}
		if target.AtRest == 0 || target.WrongAtRest != 0 && target.Name != "pgpool" { // that one is known to keep what a write overtook
			t.Errorf("%s: at rest, %d of %d answers are wrong", target.Name, target.WrongAtRest, target.AtRest)
		}
		switch target.Name {
		case "direct", "pgbouncer", "freshet", "freshet+redis", "freshet+warm":
			if w.Behind != 0 {
				t.Errorf("%s: %d reads are behind", target.Name, w.Behind)
			}
		}
		if caches(target.Name) != (w.HitRatio > 0) && target.Name != "pgpool" { // where every write ends all, there may be none
			t.Errorf("%s has a hit ratio of %v", target.Name, w.HitRatio)
		}
	}
}

// TestEveryKindOfWorkloadRuns puts workloads before a sidecar, in one protocol or the other:
// those that read one row, sums, all rows of a range, a page, and rows that are added.
func TestEveryKindOfWorkloadRuns(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"cold", "aggregate", "range", "dashboard", "shop", "ycsb-d"} {
		o := options(t, name, "freshet")
		w := o.Workload
		o.Target.Program = freshet.Path(t)
		o.Rounds, o.Protocol = 1, target.Protocols[i%len(target.Protocols)]
		if w.DefaultKeys != "" {
			o.Mix.Keys, _ = keys.Parse(w.DefaultKeys)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := run(t, o, readAndWritten)
			if len(found) != 1 {
				t.Fatal("no operation was done")
			}
			of := found[0]
			if of.Whole.Errors > 0 || of.Different > 0 || of.WrongAtRest > 0 || of.Whole.Behind > 0 || of.Whole.Writes == 0 || of.Whole.Judged == 0 {
				t.Errorf("%+v", of)
			}
		})
	}
}

// planted is a target that answers what it has answered before, for as long as it likes.
type planted struct {
	promise target.Promise
	mu      sync.Mutex
	// rows is what was written, old what is shown until it is replaced.
	rows, old map[int64]int64
}

func (p *planted) Name() string                      { return "planted" }
func (p *planted) About() string                     { return "" }
func (p *planted) Promise() target.Promise           { return p.promise }
func (p *planted) Processes() []target.Process       { return nil }
func (p *planted) Place() (at target.Place, ok bool) { return target.Place{}, false }
func (p *planted) Close() error                      { return nil }

func (p *planted) Counts(context.Context) (target.Counts, bool, error) {
	return target.Counts{}, false, nil
}

func (p *planted) Connect(context.Context, target.Protocol) (target.Session, error) {
	return sessionOfPlanted{p}, nil
}

// sessionOfPlanted is a session that cannot be closed.
type sessionOfPlanted struct{ *planted }

func (sessionOfPlanted) Close() {}

func (p sessionOfPlanted) Read(o *workload.Operation, each func([][]byte)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	version := max(1, p.old[o.First])
	each([][]byte{strconv.AppendInt(nil, o.First, 10), strconv.AppendInt(nil, version, 10)})
	return nil
}

func (p sessionOfPlanted) Write(o *workload.Operation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows[o.First] = o.Arguments[1]
	return nil
}

// plantedClient is a client of a planted target.
func plantedClient(t *testing.T, promise time.Duration) (*client, *planted) {
	t.Helper()
	o := options(t, "point", "planted")
	at := &planted{promise: target.Promise{Bound: promise}, rows: map[int64]int64{}, old: map[int64]int64{}}
	p := &player{options: &o, target: at, judge: stale.New(10, 0)}
	c := &client{player: p, script: o.Workload.Client(o.Mix, 1, 0, 1), session: sessionOfPlanted{at}, writer: sessionOfPlanted{at}}
	c.see = c.look
	return c, at
}

// TestAPlantedStaleTargetIsFoundOut has a target answer from before a write: it is behind at
// once, and stale where it promises that it is not.
func TestAPlantedStaleTargetIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		promise time.Duration
		stale   int64
	}{{0, 1}, {time.Hour, 0}, {-1, 0}} {
		client, at := plantedClient(t, c.promise)
		do := func(o workload.Operation) {
			if _, _, err := client.do(&o); err != nil {
				t.Fatal(err)
			}
		}
		read := func() { do(client.player.options.Workload.ReadOf(0, 3, client.player.options.Mix, 10, 0)) }
		read()
		do(client.script.Write(3))
		at.old[3] = at.rows[3]
		read()
		if client.tally.behind != 0 {
			t.Fatal("a target that shows everything is behind")
		}
		do(client.script.Write(3)) // the target goes on showing the one before
		read()
		if got := client.tally; got.seen != 3 || got.behind != 1 || got.stale != c.stale || got.oldest <= 0 {
			t.Errorf("promise %v: %d judged, %d behind, %d stale, oldest %v; want 3, 1, %d", c.promise, got.seen, got.behind, got.stale, got.oldest, c.stale)
		}
	}
}

// TestWhatFailsVoidsFigures has two of a hundred operations fail.
func TestWhatFailsVoidsFigures(t *testing.T) {
	t.Parallel()
	o := options(t, "point", "planted")
	p := &player{options: &o, found: report.Target{Name: "planted", Turns: []report.Turn{{Seconds: 1}}}}
	for range 1000 {
		p.total.did(&workload.Operation{}, time.Millisecond, 0)
	}
	g := &game{options: o, players: []*player{p}}
	if r := g.report(); r.Targets[0].Void != "" {
		t.Errorf("figures without errors are void: %s", r.Targets[0].Void)
	}
	for range 20 {
		p.total.failed(context.Canceled)
	}
	if r := g.report(); r.Targets[0].Void == "" {
		t.Error("figures count though 2 of 100 operations failed")
	}
}

// slow is a session that takes its time.
type slow struct {
	sessionOfPlanted
	takes time.Duration
}

func (s slow) Read(o *workload.Operation, each func([][]byte)) error {
	time.Sleep(s.takes)
	return s.sessionOfPlanted.Read(o, each)
}

// TestLatencyOfAnOpenLoopCountsFromTheIntendedTime has 1 000 operations a second before a
// target that takes 20 ms for each: who waits in line has waited, and the generator is not
// late for it.
func TestLatencyOfAnOpenLoopCountsFromTheIntendedTime(t *testing.T) {
	t.Parallel()
	const takes = 20 * time.Millisecond
	client, at := plantedClient(t, -1)
	client.session = slow{sessionOfPlanted{at}, takes}
	o := client.player.options
	o.Clients, o.Rate, o.Mix.Writes, o.Mix.Rows = 1, 1000, 0, 10
	client.script = o.Workload.Client(o.Mix, 1, 0, 1)
	now := time.Now()
	client.play(&turnClock{options: o, began: now, ends: now.Add(400 * time.Millisecond)})
	got := client.tally.turn(time.Since(now))
	// Twenty times as many as it can do: the last has waited nearly as long as the turn is.
	if got.Read.Max < 200_000 || got.Read.P50 < 2*float64(takes.Microseconds()) {
		t.Errorf("the longest latency is %v µs and the middle one %v µs: time in line is not counted", got.Read.Max, got.Read.P50)
	}
	if got.Lag.Count > got.Read.Count/2 {
		t.Errorf("%d of %d operations count as late ones of the generator's own", got.Lag.Count, got.Read.Count)
	}
}

func TestAnIdleOpenLoopTellsItsOwnLag(t *testing.T) {
	t.Parallel()
	client, _ := plantedClient(t, -1)
	o := client.player.options
	o.Clients, o.Rate, o.Mix.Writes, o.Mix.Rows = 1, 200, 0, 10
	client.script = o.Workload.Client(o.Mix, 1, 0, 1)
	servers.Eventually(t, "a turn in which it waits for an operation's time", func() bool {
		client.tally.reset()
		now := time.Now()
		client.play(&turnClock{options: o, began: now, ends: now.Add(300 * time.Millisecond)})
		got := client.tally.turn(time.Since(now))
		if got.Read.Count > 150 {
			t.Errorf("%d operations in 0.3 s at 200 a second", got.Read.Count)
		}
		return got.Read.Count > 0 && got.Lag.Count > 0 && got.Lag.Max > 0
	})
}

func TestShapes(t *testing.T) {
	t.Parallel()
	o := options(t, "point", "direct")
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		clock := &turnClock{options: &o, began: now, ends: now.Add(time.Second)}
		o.Shape = Ramp
		for at, want := range map[time.Duration]float64{0: 0.1, time.Second: 1, 500 * time.Millisecond: 0.55} {
			if got := clock.share(now.Add(at)); got < want-0.001 || got > want+0.001 {
				t.Errorf("after %v a ramp has %.2f of its rate, want %.2f", at, got, want)
			}
		}
		o.Shape = Storm
		if clock.writes() != stormWrites {
			t.Error("a turn of storms does not begin with one")
		}
		if time.Sleep(stormPeriod + stormTime); clock.writes() != o.Mix.Writes {
			t.Error("a storm does not end")
		}
	})
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Options){
		"no targets": func(o *Options) { o.Targets = nil }, "one twice": func(o *Options) { o.Targets = []string{"direct", "direct"} },
		"no clients": func(o *Options) { o.Clients = 0 }, "no rounds": func(o *Options) { o.Rounds = 0 }, "no turn": func(o *Options) { o.Turn = 0 },
		"too many writes": func(o *Options) { o.Mix.Writes = 1.1 }, "no span": func(o *Options) { o.Mix.Span = 0 }, "few rows": func(o *Options) { o.Mix.Rows = 0 },
		"shape": func(o *Options) { o.Shape = "square" }, "protocol": func(o *Options) { o.Protocol = "smtp" }, "rate": func(o *Options) { o.Rate = -1 },
	} {
		o := options(t, "point", "direct")
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&o)
		if err := o.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTalliesAddUp(t *testing.T) {
	t.Parallel()
	var a, b, sum tally
	read, write := &workload.Operation{}, &workload.Operation{Writes: true}
	for range 1000 {
		a.did(read, 100*time.Microsecond, 50*time.Millisecond)
		b.did(write, 10*time.Millisecond, 250*time.Millisecond)
	}
	b.did(read, time.Hour, 350*time.Millisecond) // beyond what is recorded
	b.failed(context.Canceled)
	sum.add(&a)
	sum.add(&b)
	got := sum.turn(time.Second)
	if got.Reads != 1001 || got.Writes != 1000 || got.Errors != 1 || got.FirstError == "" || got.PerSecond != 2001 {
		t.Errorf("%+v", got)
	}
	if got.Read.P50 < 99 || got.Read.P50 > 101 || got.Write.P99 < 9_900 || got.Write.P99 > 10_100 || got.Read.Max < 119e6 {
		t.Errorf("latencies %+v %+v", got.Read, got.Write)
	}
	if len(got.Steps) != 3 || got.Steps[0] != 10_000 || got.Steps[2] != 10_000 {
		t.Errorf("the turn's course is %v", got.Steps)
	}
	if points := curve(sum.writes); len(points) == 0 || points[0].Quantile != 0 {
		t.Errorf("the curve is %v", points)
	}
	all := whole([]report.Turn{got, got}, &sum)
	if all.Seconds != 2 {
		t.Errorf("two turns of a second take %v s", all.Seconds)
	}
}
