package main

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/freshet/freshet/loadtest/check"
	"github.com/freshet/freshet/loadtest/report"
)

// parse reads a command line.
func parse(t *testing.T, arguments ...string) commandLine {
	t.Helper()
	var c commandLine
	parser, err := kong.New(&c, kong.Vars{"faults": strings.Join(check.FaultNames(), ", ")}, kong.Vars(runVars()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachCombinationIsARun(t *testing.T) {
	t.Parallel()
	c := parse(t, "run", "--workload", "point,ycsb-d", "--protocol", "simple,prepared", "--clients", "1,8", "--quiet")
	all, err := c.Run.runs(nil)
	if err != nil || len(all) != 8 {
		t.Fatalf("%d runs, %v; want 8", len(all), err)
	}
	if o := all[0]; o.Mix.Writes != 0 || o.Mix.Keys.String() != "zipf:0.99" || !slices.Equal(o.Targets, []string{"direct", "freshet"}) {
		t.Errorf("the first run is %+v", o)
	}
	if o := all[7]; o.Mix.Writes != 0.05 || o.Mix.Keys.String() != "latest:0.99" || o.Clients != 8 {
		t.Errorf("the last run is %+v", o)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"--workload", "poems"}, {"--protocol", "smtp"}, {"--keys", "magic"}, {"--clients", "0"}, {"--writes", "2"}, {"--shape", "square"},
	} {
		c := parse(t, append([]string{"run", "--quiet"}, arguments...)...)
		if _, err := c.Run.runs(nil); err == nil {
			t.Errorf("%v is no error", arguments)
		}
	}
}

// everythingMeasured is a report with runs of these names, in which Freshet is twice as fast as every
// target that a goal compares it with.
func everythingMeasured(names []string) *report.Report {
	r := &report.Report{}
	for _, name := range names {
		run := report.Run{Name: name}
		for target, perSecond := range map[string]float64{"freshet": 2000, "direct": 1000, "pgbouncer": 1000, "redis-benchmark": 1000} {
			run.Targets = append(run.Targets, report.Target{Name: target, Turns: []report.Turn{
				{Seconds: 1, PerSecond: perSecond, Read: report.Latency{Count: 1, P99: 1e6 / perSecond}},
			}})
		}
		r.Runs = append(r.Runs, run)
	}
	return r
}

// TestTheSuiteMeasuresWhatItsGoalsAskFor has every part of both suites make sense, under a
// name of its own.
func TestTheSuiteMeasuresWhatItsGoalsAskFor(t *testing.T) {
	t.Parallel()
	for _, c := range []benchCommand{parse(t, "bench").Bench, parse(t, "bench", "--long").Bench} {
		names := map[string]bool{}
		for _, p := range suite(c) {
			if names[p.name] {
				t.Errorf("two parts are called %q", p.name)
			}
			names[p.name] = true
			if err := p.valid(); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
		for _, name := range []string{mixName(1), mixName(10), "expensive, 5 %", "dashboard", "hit from afar", "miss from afar", "hit, simple, 8", "yardsticks", "pgbench-tpcb", "sysbench-read-only"} {
			if !names[name] {
				t.Errorf("a goal asks for %q, which the suite does not measure", name)
			}
		}
		if len(goals(c)) < 20 {
			t.Errorf("%d goals", len(goals(c)))
		}
		measured := everythingMeasured(slices.Collect(maps.Keys(names)))
		for _, goal := range goals(c) {
			if math.IsNaN(goal.Measure(measured)) {
				t.Errorf("goal %q asks for what the suite does not measure", goal.What)
			}
		}
	}
}
