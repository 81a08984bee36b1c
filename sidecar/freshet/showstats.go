package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/freshet/freshet/sidecar/dashboard"
)

// statsCommand prints what a running sidecar counts.
type statsCommand struct {
	adminFlags
	Database string        `placeholder:"NAME" help:"Which of several databases, by the name that clients ask for. Default: that of --upstream, with a line for each of the others."`
	JSON     bool          `name:"json" help:"Print them as JSON, as GET /api/v1/stats does. Default: for people."`
	Watch    time.Duration `placeholder:"DURATION" help:"Print again every so often, with what was counted meanwhile, until interrupted. Default: once, since the start."`
}

// watchMin is the shortest time between two printings.
const watchMin = 100 * time.Millisecond

// Run prints.
func (c *statsCommand) Run(ctx context.Context, out *output) error {
	if c.Watch != 0 && c.Watch < watchMin {
		return usage("--watch %s is too short: give at least %s", c.Watch, watchMin)
	}
	before := dashboard.Stats{}
	for {
		stats, raw, err := c.stats(ctx, c.Database)
		if err != nil {
			return err
		}
		if c.JSON {
			_, err = fmt.Fprintf(out.stdout, "%s\n", raw)
		} else {
			err = printStats(out.stdout, &stats, &before)
		}
		if err != nil || c.Watch == 0 {
			return err
		}
		if stats.UptimeSeconds >= before.UptimeSeconds {
			before = stats
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Watch):
		}
	}
}

// reasonsShown is how many reasons are printed.
const reasonsShown = 5

// outcomesShown are the outcomes of reads in the order of their price.
var outcomesShown = []string{"hit_l1", "hit_l2", "coalesced", "miss", "bypass", "error", "consented"}

// printStats prints what was counted between two readings.
func printStats(to io.Writer, now, before *dashboard.Stats) error {
	lines := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	line := func(name, format string, arguments ...any) {
		_, _ = fmt.Fprintf(lines, "%s\t%s\n", name, fmt.Sprintf(format, arguments...))
	}
	state := "ready"
	if !now.Ready {
		state = "not ready: " + oneLine(now.NotReadyReason)
	}
	if now.SwitchedOff {
		state += ", switched off: freshet bypass off"
	}
	line("state", "%s", state)
	for _, d := range now.Databases {
		line("  "+d.Name, "%s", stateOf(&d))
	}
	seconds := now.UptimeSeconds - before.UptimeSeconds
	line("period", "%s, %d clients now, %.0f statements a second", time.Duration(seconds*float64(time.Second)).Round(100*time.Millisecond), now.Sessions, rate(now, before, seconds))
	hits, misses, all := counted(now, before)
	line("hits", "%s of the reads, %s of those that can be cached", percent(hits, reads(now, before)), percent(hits, hits+misses))
	for _, name := range outcomesShown {
		n := now.Queries[name] - before.Queries[name]
		line("  "+name, "%d (%s)", n, percent(n, all))
	}
	printReasons(line, now, before)
	switch {
	case now.FollowerResting:
		line("freshness", "nobody has read for a while: looks are seldom, and the next read waits for one")
	case now.FollowerAgeSeconds != nil:
		line("freshness", "the last look began %.0f ms ago; the bound is %g s", *now.FollowerAgeSeconds*1000, now.StalenessSeconds)
	}
	line("tables", "%d watched, %d problems", now.WatchedTables, now.WatchProblems)
	line("saved", "%s of Postgres' time", time.Duration((now.SavedSeconds-before.SavedSeconds)*float64(time.Second)).Round(time.Millisecond))
	printTimes(line, now, before)
	line("verified", "%d compared with Postgres, %d stale", now.Verify.Results["same"]+now.Verify.Results["raced"]+now.Verify.Results["stale"], now.Verify.Results["stale"])
	line("memory", "%s of %s, %d entries", humanize.IBytes(now.L1.Bytes), humanize.IBytes(now.L1.LimitBytes), now.L1.Items)
	line("redis", "%s", now.Redis.State)
	_, _ = fmt.Fprintln(lines)
	return lines.Flush()
}

// stateOf says in short how one of several databases is.
func stateOf(d *dashboard.DatabaseState) string {
	state := "ready"
	if d.NotReady != "" {
		state = "not ready: " + oneLine(d.NotReady)
	}
	return fmt.Sprintf("%s, %d clients, %s hits of what can be cached, %d tables", state, d.Sessions, percent(d.Hits, d.Reads), d.WatchedTables)
}

// counted are the statements that were answered without Postgres, those that were
// loaded for the next, and all.
func counted(now, before *dashboard.Stats) (hits, misses, all uint64) {
	since := func(name string) uint64 { return now.Queries[name] - before.Queries[name] }
	return since("hit_l1") + since("hit_l2") + since("coalesced"), since("miss"), now.Executed() - before.Executed()
}

// reads are the statements between two readings that a cache could have answered.
func reads(now, before *dashboard.Stats) uint64 {
	_, n := now.Reads()
	_, was := before.Reads()
	return n - min(n, was)
}

func rate(now, before *dashboard.Stats, seconds float64) float64 {
	_, _, all := counted(now, before)
	if seconds <= 0 {
		return 0
	}
	return float64(all) / seconds
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// printReasons prints the reasons that most statements passed through for.
func printReasons(line func(name, format string, arguments ...any), now, before *dashboard.Stats) {
	since := func(reason string) uint64 { return now.Bypasses[reason] - before.Bypasses[reason] }
	names := slices.SortedFunc(maps.Keys(now.Bypasses), func(a, b string) int { return int(since(b)) - int(since(a)) })
	for _, name := range names[:min(len(names), reasonsShown)] {
		if since(name) > 0 {
			line("    "+name, "%d: %s", since(name), now.BypassAdvice[name])
		}
	}
}

// printTimes prints what answers took.
func printTimes(line func(name, format string, arguments ...any), now, before *dashboard.Stats) {
	for _, name := range outcomesShown {
		if r := now.Times.Latency[name].Since(before.Times.Latency[name]); r.Count > 0 {
			line("  "+name, "half within %s, 99 of 100 within %s", duration(r.Quantile(0.5)), duration(r.Quantile(0.99)))
		}
	}
}

// duration is a number of seconds as people read it.
func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond)
}
