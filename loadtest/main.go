// Command loadtest puts Freshet under load and says what it found. Its run measures
// it beside what people would use instead, and its compare says what has changed between two
// such reports. Its fleet measures many sidecars together, its memory what one of them takes, its growth
// whether that grows. Its applications drives real
// applications. Its check judges the promises while everything around the sidecars fails, and
// its mutants says what that judgement is worth.
//
// It exits with 0 if all is well, with 1 if a promise was broken, a mutant was not found out,
// or what was asserted does not hold, and with 2 if it could not find out.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/freshet/freshet/loadtest/check"
	"github.com/freshet/freshet/loadtest/standard"
)

const (
	exitBroken  = 1
	exitUnknown = 2
)

// commandLine is the whole command line.
type commandLine struct {
	Run          runCommand          `cmd:"" help:"Measure Freshet beside Postgres itself and what people put before it."`
	Bench        benchCommand        `cmd:"" help:"Measure what docs/benchmarks.md tells, and say which goals are met."`
	Fleet        fleetCommand        `cmd:"" help:"Measure what many sidecars cost and give, and reckon how far that goes."`
	Memory       memoryCommand       `cmd:"" help:"Measure what a sidecar takes of memory: for what it keeps, while large answers come and go, for clients that do nothing."`
	Pauses       pausesCommand       `cmd:"" help:"Measure for how long a sidecar that keeps much keeps its clients waiting, beside an empty one."`
	Growth       growthCommand       `cmd:"" help:"Measure whether a sidecar grows while clients come and go: memory, goroutines, descriptors."`
	Applications applicationsCommand `cmd:"" help:"Drive real applications over HTTP, on Postgres itself and through a sidecar."`
	Compare      compareCommand      `cmd:"" help:"Say what has changed between two reports."`
	Standard     standardCommand     `cmd:"" help:"Have pgbench, sysbench and yardsticks measure Freshet beside others."`
	Echo         echoCommand         `cmd:"" hidden:"" help:"Send back what clients send."`
	Check        checkCommand        `cmd:"" help:"Check the promises of freshness under faults."`
	Mutants      mutantsCommand      `cmd:"" help:"Take one rule of the protocol after the other away, and find out each."`
}

// checkCommand runs package check.
type checkCommand struct {
	Program  string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Duration time.Duration `default:"60s" placeholder:"DURATION" help:"How long to run at least; the first round of faults is always completed."`
	Reads    int64         `placeholder:"N" help:"Go on until as many reads were checked."`
	Seed     uint64        `default:"1" placeholder:"N" help:"Decides the order and the length of faults."`
	Faults   string        `default:"all" placeholder:"LIST" help:"all, none, or names with commas between: ${faults}."`
	Sidecars int           `default:"3" placeholder:"N" help:"How many sidecars to start."`
	Bound    time.Duration `default:"500ms" placeholder:"DURATION" help:"The sidecars' --staleness."`
	Pace     int           `default:"3000" placeholder:"N" help:"Reads a second of all readers together."`
	Writes   int           `default:"150" placeholder:"N" help:"Writes a second of all writers together."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write the report as JSON too."`
	Stop     bool          `help:"Stop at the first violation."`
	Quiet    bool          `help:"Print nothing but the report."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	var c commandLine
	parsed := kong.Parse(&c, kong.Name("loadtest"), kong.UsageOnError(),
		kong.Vars{"faults": strings.Join(check.FaultNames(), ", ")}, kong.Vars(runVars()))
	command, _, _ := strings.Cut(parsed.Command(), " ")
	switch command {
	case "bench":
		os.Exit(c.Bench.run(ctx, os.Stdout, os.Stderr))
	case "fleet":
		os.Exit(c.Fleet.run(ctx, os.Stdout, os.Stderr))
	case "applications":
		os.Exit(c.Applications.run(ctx, os.Stdout, os.Stderr))
	case "memory":
		os.Exit(c.Memory.run(ctx, os.Stdout, os.Stderr))
	case "pauses":
		os.Exit(c.Pauses.run(ctx, os.Stdout, os.Stderr))
	case "growth":
		os.Exit(c.Growth.run(ctx, os.Stdout, os.Stderr))
	case "standard":
		os.Exit(c.Standard.run(ctx, os.Stdout, os.Stderr))
	case "echo":
		fmt.Fprintf(os.Stderr, "loadtest: %v\n", standard.ServeEcho(c.Echo.Socket))
		os.Exit(exitUnknown)
	case "compare":
		os.Exit(c.Compare.run(os.Stdout, os.Stderr))
	case "run":
		os.Exit(c.Run.run(ctx, os.Stdout, os.Stderr))
	case "check":
		os.Exit(c.Check.run(ctx, os.Stdout, os.Stderr))
	case "mutants":
		os.Exit(c.Mutants.run(ctx, os.Stdout, os.Stderr))
	}
}

// run checks and returns the exit code.
func (c checkCommand) run(ctx context.Context, out, log io.Writer) int {
	report, err := check.Run(ctx, c.options(log))
	if err != nil {
		fmt.Fprintf(log, "loadtest: %v\n", err)
	}
	if report.Reads > 0 {
		if err := c.write(report, out); err != nil {
			fmt.Fprintf(log, "loadtest: %v\n", err)
			return exitUnknown
		}
	}
	switch {
	case report.Violations > 0:
		return exitBroken
	case err != nil:
		return exitUnknown
	}
	return 0
}

func (c checkCommand) options(log io.Writer) check.Options {
	o := check.Options{
		Program: c.Program, Duration: c.Duration, ReadsMin: c.Reads, Seed: c.Seed, Sidecars: c.Sidecars, Bound: c.Bound,
		ReadsPerSecond: c.Pace, WritesPerSecond: c.Writes, StopAtViolation: c.Stop, Log: log,
	}
	if c.Quiet {
		o.Log = io.Discard
	}
	switch c.Faults {
	case "all":
		o.Faults = check.FaultNames()
	case "none":
	default:
		o.Faults = strings.Split(c.Faults, ",")
	}
	return o
}

func (c checkCommand) write(report check.Report, out io.Writer) error {
	if err := report.WriteTable(out); err != nil {
		return err
	}
	if c.JSON == "" {
		return nil
	}
	file, err := os.Create(c.JSON)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := report.WriteJSON(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
