package fleet

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// options are those of a short run.
func options() Options {
	return Options{Sidecars: []int{2}, Kinds: []Kind{Alone}, Phase: 300 * time.Millisecond, Writes: 20, Rows: 400, Cold: 20,
		Commits: 3, Staleness: time.Minute}
}

// TestFleetIsMeasured measures two sidecars for a moment. With a staleness of a minute no
// read of it can be stale; a load of a cold key is one, however slow the machine.
func TestFleetIsMeasured(t *testing.T) {
	t.Parallel()
	o := options()
	o.Program = freshet.Path(t)
	cases, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := cases[0]
	t.Logf("%+v", c)
	if c.Cold.Keys != o.Cold || c.Cold.Loads != int64(o.Cold) {
		t.Errorf("%d loads of %d cold keys", c.Cold.Loads, c.Cold.Keys)
	}
	if c.Connections < 1 || c.ConnectionsBy["freshet follower"] < 1 {
		t.Errorf("%v connections: %v", c.Connections, c.ConnectionsBy)
	}
	if c.Writing.Events == 0 || c.Writing.PostgresCores == 0 || c.Quiet.Seconds < o.Phase.Seconds() {
		t.Errorf("writing %+v, quiet %+v", c.Writing, c.Quiet)
	}
	if c.ShownQuiet.Commits != o.Commits || c.ShownWriting.Commits != o.Commits || c.ShownQuiet.Max <= 0 {
		t.Errorf("shown %+v, under writes %+v", c.ShownQuiet, c.ShownWriting)
	}
	if c.Joining.Reads != o.Rows/2 || c.Joining.First < 0.9 || c.Joining.All < 0.9 {
		t.Errorf("a late sidecar: %+v", c.Joining)
	}
	if c.Reads.Judged == 0 || c.Reads.Stale != 0 {
		t.Errorf("reads %+v", c.Reads)
	}
	r := NewReport("test", "a machine", o.Writes, cases)
	if broken := r.Broken(); len(broken) > 0 {
		t.Errorf("%q", broken)
	}
	if err := r.WriteJSON(filepath.Join(t.TempDir(), "a.json")); err != nil {
		t.Error(err)
	}
	var text strings.Builder
	if err := r.WriteMarkdown(&text); err != nil || !strings.Contains(text.String(), "| 2 | redis | 1.00 |") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestStaleReadsAndSecondLoadsAreBroken(t *testing.T) {
	t.Parallel()
	count := &tally{bound: time.Second}
	for _, behind := range []time.Duration{0, time.Millisecond, time.Second, time.Second + 1} {
		count.judged(behind)
	}
	if got := count.reads(); got.Judged != 4 || got.Behind != 3 || got.Stale != 1 || got.OldestMS != 1000 {
		t.Errorf("%+v", got)
	}
	r := NewReport("", "", 100, []Case{{Sidecars: 4, Shared: Cluster, Cold: Cold{Keys: 10, Loads: 11}, Reads: count.reads(),
		Writing: Cost{Seconds: 1, Events: 100}}})
	if broken := r.Broken(); len(broken) != 2 {
		t.Errorf("%q", broken)
	}
}

func TestCostsAreSlopes(t *testing.T) {
	t.Parallel()
	var cases []Case
	for _, n := range []int{1, 2, 4} {
		size := float64(n)
		cases = append(cases, Case{
			Sidecars: n, Connections: 3,
			Quiet:   Cost{PostgresCores: 0.5 + 0.002*size, RedisCores: 0.001 * size, RedisCommands: 7 + 10*size},
			Writing: Cost{Seconds: 2, Events: 100, PostgresCores: 0.5 + 0.012*size, SidecarCores: 0.05 * size},
		})
	}
	c := CostsOf(cases)
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("connections", c.Connections, 3)
	near("Postgres, quiet", c.PostgresQuiet, 0.002)
	near("Postgres, a batch", c.PostgresBatch, 0.01/50)
	near("sidecar, a batch", c.SidecarBatch, 0.05/50)
	near("Redis", c.RedisCommands, 10)
	k := c.Of(1000, 5000) // as many batches as there can be
	near("connections of 1000", k.Connections, 3000)
	near("Postgres of 1000", k.PostgresCores, 1000*(0.002+batchesMax*0.0002))
	near("each", k.SidecarCores, batchesMax*0.001)
	limits := c.Limits()
	if i := slices.IndexFunc(limits, func(l Limit) bool { return l.What == "500 connections" }); i < 0 || limits[i].Sidecars != 166 {
		t.Errorf("the limits are %+v, want 166 sidecars within 500 connections", limits)
	}
	near("of one size alone", perSidecar(cases[2:], func(c *Case) float64 { return c.Connections }), 0.75)
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Options){
		func(o *Options) { o.Sidecars = nil }, func(o *Options) { o.Sidecars = []int{0} }, func(o *Options) { o.Kinds = []Kind{"sentinel"} },
		func(o *Options) { o.Phase = 0 }, func(o *Options) { o.Writes = 0 }, func(o *Options) { o.Rows = 10 },
		func(o *Options) { o.Cold = o.Rows }, func(o *Options) { o.Commits = 0 }, func(o *Options) { o.Staleness = 0 },
	} {
		o := options()
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
