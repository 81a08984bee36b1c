package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/standard"
)

// part is a run of the suite, by its name.
type part struct {
	name string
	run  func(ctx context.Context, log io.Writer) (report.Run, error)
	// valid says what would keep it from running.
	valid func() error
}

// The targets of a part. Pgpool-II speaks the simple protocol in all of them: with prepared
// statements its clients lock one another out when some of them write.
var (
	relays = []string{"direct", "freshet", "pgbouncer"}
	caches = []string{"direct", "freshet", "freshet+redis", "redis", "redis-ttl"}
	all    = []string{"direct", "freshet", "pgpool", "redis", "redis-ttl"}
)

// suite is what make bench runs: in short, or long.
func suite(c benchCommand) []part {
	var parts []part
	add := func(name string, targets []string, workload, protocol string, clients int, writes float64, change func(*runCommand)) {
		r := runCommand{Program: c.Program, Targets: targets, Workload: []string{workload}, Protocol: []string{protocol}, Clients: []int{clients},
			Writes: []float64{writes}, Rows: 20_000, Rounds: c.Rounds, Turn: c.Turn, Warm: 3 * time.Second, Shape: "flat",
			Staleness: time.Second, TTL: 2 * time.Second, Seed: 1, outputFlags: outputFlags{Quiet: c.Quiet}}
		if change != nil {
			change(&r)
		}
		parts = append(parts, part{name, r.single, r.valid})
	}
	hot := func(r *runCommand) { r.Rows, r.Keys = 1000, "uniform" }
	for _, protocol := range []string{"simple", "extended", "prepared"} {
		for _, clients := range c.clients() {
			which := fmt.Sprintf("%s, %d", protocol, clients)
			add("hit, "+which, append(relays, "redis-ttl"), "point", protocol, clients, 0, func(r *runCommand) { hot(r); r.TTL = time.Minute })
			add("miss, "+which, relays, "cold", protocol, clients, 0, hot)
			add("relayed, "+which, relays, "relayed", protocol, clients, 0, hot)
		}
	}
	for _, percent := range c.writes() {
		add(mixName(percent), caches, "point", "prepared", 8, percent/100, nil)
	}
	add("pools", all, "point", "simple", 8, 0.1, nil)
	add("beside", all, "point", "simple", 8, 0.05, func(r *runCommand) { r.Beside = true })
	for _, percent := range c.expensiveWrites() {
		add("expensive, "+number(percent)+" %", all, "expensive", "simple", 8, percent/100, func(r *runCommand) { r.Span = 2000 })
	}
	add("dashboard", caches, "dashboard", "prepared", 8, 0.02, nil)
	add("shop", caches, "shop", "prepared", 8, 0.02, nil)
	add("ycsb-b", caches, "ycsb-b", "prepared", 8, 0.05, nil)
	apart := func(r *runCommand) { hot(r); r.Distance = 500 * time.Microsecond }
	add("hit from afar", append(relays, "redis-ttl"), "point", "prepared", 8, 0, func(r *runCommand) { apart(r); r.TTL = time.Minute })
	add("miss from afar", relays, "cold", "prepared", 8, 0, apart)
	known := func(name, benchmark, protocol string, clients int, targets ...string) {
		s := standardCommand{Program: c.Program, Targets: targets, Protocol: protocol, Scale: 1, Rounds: c.Rounds,
			Turn: max(2*time.Second, c.Turn.Round(time.Second)), Warm: time.Second, Staleness: time.Second, Seed: 1, outputFlags: outputFlags{Quiet: c.Quiet}}
		parts = append(parts, part{name, func(ctx context.Context, log io.Writer) (report.Run, error) {
			return s.measure(ctx, benchmark, clients, log)
		}, func() error {
			o := s.options(benchmark, clients)
			return o.Validate()
		}})
	}
	known("yardsticks", "pgbench-hot", "prepared", 8, append(relays, standard.Yardsticks...)...)
	known("pgbench-tpcb", "pgbench-tpcb", "prepared", 8, relays...)
	known("sysbench-read-only", "sysbench-read-only", "prepared", 8, relays...)
	if !c.Long {
		return parts
	}
	for _, benchmark := range standard.Names() {
		for _, protocol := range []string{"simple", "prepared"} {
			for _, clients := range c.clients() {
				known(fmt.Sprintf("%s, %s, %d", benchmark, protocol, clients), benchmark, protocol, clients, relays...)
			}
		}
	}
	for _, workload := range []string{"aggregate", "range", "range-aggregate", "ycsb-c", "ycsb-d"} {
		for _, share := range []float64{0, 0.05} {
			add(workload+", "+number(100*share)+" %", caches, workload, "prepared", 8, share, nil)
		}
	}
	for _, shape := range []string{"ramp", "storm", "stampede"} {
		add(shape, caches, "point", "prepared", 32, 0.02, func(r *runCommand) { r.Shape = shape })
	}
	add("open loop", caches, "point", "prepared", 32, 0.05, func(r *runCommand) { r.Rate = 4000 })
	add("scan", caches, "point", "prepared", 8, 0.01, func(r *runCommand) { r.Keys, r.Rows = "scan", 200_000 })
	return parts
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func mixName(percent float64) string { return "mix, " + number(percent) + " %" }

// goals are those of docs/benchmarks.md, of the parts of the short suite.
func goals(c benchCommand) []report.Goal {
	all := []report.Goal{{
		What: "reads older than Freshet promises, in all runs", Most: true, Bound: 0,
		Measure: func(r *report.Report) float64 {
			return overFreshet(r, func(t *report.Target) int64 { return t.Whole.Stale })
		},
	}, {
		What: "answers of Freshet that differ from Postgres', before and after all runs", Most: true, Bound: 0,
		Measure: func(r *report.Report) float64 {
			return overFreshet(r, func(t *report.Target) int64 { return int64(t.Different + t.WrongAtRest) })
		},
	}}
	least := func(what string, bound float64, measure func(*report.Report) float64) {
		all = append(all, report.Goal{What: what, Bound: bound, Measure: measure})
	}
	most := func(what string, bound float64, measure func(*report.Report) float64) {
		all = append(all, report.Goal{What: what, Most: true, Bound: bound, Measure: measure})
	}
	ratio := func(name, over, figure string) func(*report.Report) float64 {
		return func(r *report.Report) float64 { return r.RatioIn(name, "freshet", over, figure) }
	}
	for _, protocol := range []string{"simple", "extended", "prepared"} {
		for _, clients := range c.clients() {
			which := fmt.Sprintf("%s, %d", protocol, clients)
			hit, miss, relayed := ratio("hit, "+which, "direct", "throughput"), ratio("miss, "+which, "direct", "throughput"), ratio("relayed, "+which, "direct", "throughput")
			least("hit / direct: "+which, 2, hit)
			least("relayed / PgBouncer: "+which, 0.95, ratio("relayed, "+which, "pgbouncer", "throughput"))
			least("miss / relayed: "+which, 0.85, func(r *report.Report) float64 { return miss(r) / relayed(r) })
			breakEven := func(of func(*report.Report) float64) func(*report.Report) float64 {
				return func(r *report.Report) float64 {
					if math.IsNaN(hit(r)) || math.IsNaN(of(r)) {
						return math.NaN()
					}
					return 100 * report.BreakEven(hit(r), of(r))
				}
			}
			most("break-even hit ratio, less the relay's, in points: "+which, 5, func(r *report.Report) float64 { return breakEven(miss)(r) - breakEven(relayed)(r) })
			most("break-even hit ratio, %: "+which, 50, breakEven(miss))
		}
	}
	least("1 % writes / direct", 1, ratio(mixName(1), "direct", "throughput"))
	least("10 % writes / direct", 0.9, ratio(mixName(10), "direct", "throughput"))
	least("expensive reads, 5 % writes / direct", 2, ratio("expensive, 5 %", "direct", "throughput"))
	most("expensive reads, 5 % writes: p99 / direct", 1, ratio("expensive, 5 %", "direct", "p99"))
	least("one of 1 000 rows by pgbench / direct", 2, ratio("yardsticks", "direct", "throughput"))
	least("one of 1 000 rows by pgbench / redis-benchmark's GET", 0.5, ratio("yardsticks", "redis-benchmark", "throughput"))
	least("pgbench's TPC-B / PgBouncer", 0.95, ratio("pgbench-tpcb", "pgbouncer", "throughput"))
	least("sysbench's oltp_read_only / PgBouncer", 0.95, ratio("sysbench-read-only", "pgbouncer", "throughput"))
	least("dashboard / direct", 1, ratio("dashboard", "direct", "throughput"))
	least("shop / direct", 1, ratio("shop", "direct", "throughput"))
	least("hit from 500 µs afar / direct", 5, ratio("hit from afar", "direct", "throughput"))
	least("miss from 500 µs afar / direct", 0.97, ratio("miss from afar", "direct", "throughput"))
	return all
}

// overFreshet adds up a count over every sidecar of every run.
func overFreshet(r *report.Report, count func(*report.Target) int64) float64 {
	var sum int64
	for i := range r.Runs {
		for _, name := range []string{"freshet", "freshet+redis"} {
			if t := r.Runs[i].Find(name); t != nil {
				sum += count(t)
			}
		}
	}
	return float64(sum)
}
