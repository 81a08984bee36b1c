package standard

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/target"
)

// sysbench is one of sysbench's own scripts.
func sysbench(script, about string) *benchmark {
	return &benchmark{
		name: "sysbench-" + strings.ReplaceAll(strings.TrimPrefix(script, "oltp_"), "_", "-"), about: "sysbench " + script + ": " + about,
		keys: "uniform", protocols: []target.Protocol{target.Prepared, target.Simple},
		fill: func(ctx context.Context, _ *target.Ground, at target.Place, o *Options) error {
			_, err := execute(ctx, "sysbench", append(sysbenchFlags(script, at, o), "prepare")...)
			return err
		},
		run: func(ctx context.Context, _ *target.Ground, at target.Place, seconds int, o *Options) (outcome, error) {
			return runSysbench(ctx, script, at, seconds, o)
		},
		checks: []string{
			"SELECT count(*), sum(k), md5(string_agg(c, '' ORDER BY id)) FROM sbtest1",
			"SELECT id, k, c, pad FROM sbtest1 WHERE id BETWEEN 1 AND 50 ORDER BY id",
			"SELECT c FROM sbtest1 WHERE id = 7",
		},
	}
}

func sysbenchFlags(script string, at target.Place, o *Options) []string {
	return []string{
		script, "--db-driver=pgsql", "--pgsql-host=" + at.Host, "--pgsql-port=" + strconv.Itoa(at.Port), "--pgsql-user=" + at.User, "--pgsql-db=" + at.Database,
		"--tables=1", "--table-size=" + strconv.Itoa(o.Scale*rowsOfScale), "--rand-type=uniform",
	}
}

// Lines of what sysbench prints. It counts transactions of its own, and latencies in
// milliseconds.
var (
	sysbenchDone     = regexp.MustCompile(`(?m)^\s*transactions:\s+([0-9]+)\s`)
	sysbenchTPS      = regexp.MustCompile(`(?m)^\s*transactions:\s+[0-9]+\s+\(([0-9.]+) per sec`)
	sysbenchInterval = regexp.MustCompile(`(?m)^\s*([0-9.]+) \|\**\s+([0-9]+)$`)
)

func runSysbench(ctx context.Context, script string, at target.Place, seconds int, o *Options) (found outcome, err error) {
	mode := "auto"
	if o.Protocol == target.Simple {
		mode = "disable"
	}
	printed, err := execute(ctx, "sysbench", append(sysbenchFlags(script, at, o), "--threads="+strconv.Itoa(o.Clients), "--time="+strconv.Itoa(seconds),
		"--rand-seed="+strconv.FormatUint(o.Seed, 10), "--db-ps-mode="+mode, "--histogram=on", "run")...)
	if err != nil {
		return found, err
	}
	found.used = printed.used
	if found.perSecond, err = figure(sysbenchTPS, printed.text); err != nil {
		return found, err
	}
	done, err := figure(sysbenchDone, printed.text)
	found.count, found.latency = int64(done), sysbenchLatency(printed.text)
	return found, err
}

// sysbenchLatency reads the histogram that sysbench prints.
func sysbenchLatency(text string) report.Latency {
	var all distribution
	for _, line := range sysbenchInterval.FindAllStringSubmatch(text, -1) {
		ms, _ := strconv.ParseFloat(line[1], 64) // the pattern says that they are numbers
		count, _ := strconv.ParseInt(line[2], 10, 64)
		all.add(1000*ms, count)
	}
	return all.latency()
}
