package check

import (
	"flag"
	"strconv"
	"testing"
)

// manyReads makes TestPromisesUnderEveryFault go on for longer: as many as it is by default
// are read while each fault is made once. make soak reads a million.
var manyReads = flag.Int64("reads", 30_000, "how many reads to check under faults at least; a million take a quarter of an hour")

// seed chooses another schedule.
var seed = flag.Uint64("seed", 1, "the seed of the schedule of faults")

// The promises hold under every fault; each is judged near each.
func TestPromisesUnderEveryFault(t *testing.T) {
	t.Parallel()
	freshet := product(t)
	report := run(t, exitKept, "--program", freshet, "--faults", "all", "--duration", "20s", "--pace", "1000",
		"--reads", strconv.FormatInt(*manyReads, 10), "--seed", strconv.FormatUint(*seed, 10), "--quiet")
	if report.Violations != 0 || len(report.Examples) != 0 {
		t.Errorf("%d violations: %q", report.Violations, report.Examples)
	}
	if report.Reads < *manyReads {
		t.Errorf("%d reads were checked, want %d", report.Reads, *manyReads)
	}
	for _, fault := range append([]string{calm}, FaultNames()...) {
		if report.Row(Bounded, fault).Checked == 0 {
			t.Errorf("no read was judged near fault %s", fault)
		}
	}
	for _, p := range Promises {
		if report.Row(p, All).Checked == 0 {
			t.Errorf("promise %q was never judged", p)
		}
		if report.Row(p, calm).Checked == 0 {
			t.Errorf("promise %q was never judged in calm", p)
		}
	}
	if worst := report.Row(Bounded, All).AgeMax; worst > report.Bound {
		t.Errorf("staleness of %v, beyond the bound of %v", worst, report.Bound)
	}
	for _, what := range []string{noteReused, noteLost, noteRestored, noteHistories, noteInGo, noteWrapped} {
		if report.Notes[what] == 0 {
			t.Errorf("%s: none, so a fault did less than it should", what)
		}
	}
}

// The checker itself, with the race detector where the tests have it.
func TestRunInThisProcess(t *testing.T) {
	t.Parallel()
	freshet := product(t)
	report, err := Run(t.Context(), Options{
		Program: freshet, Duration: 1, Seed: *seed, Sidecars: 2, ReadsPerSecond: 600, WritesPerSecond: 60,
		Faults: []string{"redis-garbage", "client-cut", "sidecar-kill", "promotion"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Violations != 0 || report.Reads == 0 || report.Excluded == 0 && report.Notes[noteLost] == 0 {
		t.Errorf("%d violations in %d reads, %d excluded, notes %v: %q", report.Violations, report.Reads, report.Excluded, report.Notes, report.Examples)
	}
}
