package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/standard"
	"github.com/freshet/freshet/loadtest/target"
)

// standardCommand has benchmarks that people know measure targets by turns.
type standardCommand struct {
	Program   string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Targets   []string      `default:"direct,freshet,pgbouncer" placeholder:"LIST" help:"What to measure, with commas between: ${targets}; and yardsticks, which answer no SQL: ${yardsticks}."`
	Benchmark []string      `default:"pgbench-select,pgbench-tpcb" placeholder:"LIST" help:"What measures, each in a run of its own: ${benchmarks}."`
	Protocol  string        `default:"prepared" placeholder:"NAME" help:"How statements are sent: ${protocols}."`
	Clients   []int         `default:"8" placeholder:"LIST" help:"How many clients there are, each number in a run of its own."`
	Scale     int           `default:"1" placeholder:"N" help:"pgbench's scale; sysbench's table has 100 000 rows for each."`
	Rounds    int           `default:"5" placeholder:"N" help:"How often each target has its turn."`
	Turn      time.Duration `default:"5s" placeholder:"DURATION" help:"How long a turn takes, in whole seconds."`
	Warm      time.Duration `default:"5s" placeholder:"DURATION" help:"How long each target is warmed up."`
	Staleness time.Duration `default:"1s" placeholder:"DURATION" help:"The sidecar's --staleness."`
	Seed      uint64        `default:"1" placeholder:"N" help:"Decides who asks for what."`
	Flags     []string      `placeholder:"FLAG" help:"Further flags of freshet serve, with commas between."`
	Assert    string        `placeholder:"CLAIMS" help:"Exit with 1 unless these hold in every run, as of loadtest run."`
	outputFlags
}

// echoCommand is the server of the yardstick echo, which this program starts of itself.
type echoCommand struct {
	Socket string `arg:""`
}

// run runs and returns the exit code.
func (c standardCommand) run(ctx context.Context, out, log io.Writer) int {
	assertions, err := report.ParseAssertions(c.Assert)
	if err != nil {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	r := report.New(strings.Join(os.Args, " "), machine(ctx, c.Program))
	var failed error
	for _, benchmark := range c.Benchmark {
		for _, clients := range c.Clients {
			found, err := c.measure(ctx, benchmark, clients, log)
			if failed = errors.Join(failed, err); len(found.Targets) > 0 {
				r.Runs = append(r.Runs, found)
			}
		}
	}
	if len(r.Runs) > 0 {
		failed = errors.Join(failed, c.outputFlags.write(r, out))
	}
	if failed != nil {
		fmt.Fprintf(log, "loadtest: %v\n", failed)
		return exitUnknown
	}
	return conclude(append(r.Voids(), report.Check(r.Runs, assertions)...), log)
}

// measure is one benchmark with one number of clients.
func (c standardCommand) measure(ctx context.Context, benchmark string, clients int, log io.Writer) (report.Run, error) {
	o := c.options(benchmark, clients)
	self, err := os.Executable()
	if err != nil {
		return report.Run{}, fmt.Errorf("find this program: %w", err)
	}
	o.Echo = []string{self, "echo"}
	if !c.Quiet {
		o.Progress = func(target string, round int, turn report.Turn) {
			fmt.Fprintf(log, "%s, %d clients: round %d of %d: %-15s %8.0f/s  p99 %6.0f µs\n", benchmark, clients, round, c.Rounds, target, turn.PerSecond, turn.Read.P99)
		}
	}
	return standard.Run(ctx, o)
}

func (c standardCommand) options(benchmark string, clients int) standard.Options {
	return standard.Options{
		Benchmark: benchmark, Protocol: target.Protocol(c.Protocol), Targets: c.Targets, Clients: clients, Scale: c.Scale,
		Rounds: c.Rounds, Turn: c.Turn, Warm: c.Warm, Seed: c.Seed,
		Target: target.Options{Program: c.Program, Staleness: c.Staleness, Flags: c.Flags},
	}
}
