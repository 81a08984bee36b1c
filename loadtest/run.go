package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/keys"
	"github.com/freshet/freshet/loadtest/load"
	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/standard"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// runCommand puts targets under load, one after the other in each round.
type runCommand struct {
	Program   string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Targets   []string      `default:"direct,freshet" placeholder:"LIST" help:"What to put under load, with commas between: ${targets}."`
	Workload  []string      `default:"point" placeholder:"LIST" help:"What clients ask for, each in a run of its own: ${workloads}."`
	Protocol  []string      `default:"prepared" placeholder:"LIST" help:"How statements are sent, each in a run of its own: ${protocols}."`
	Clients   []int         `default:"8" placeholder:"LIST" help:"How many clients there are, each number in a run of its own."`
	Writes    []float64     `placeholder:"LIST" help:"Which share of operations writes, from 0 to 1, each in a run of its own. Default: the workload's."`
	Beside    bool          `help:"Clients write past the targets, to Postgres, as programs do that do not know of them."`
	Keys      string        `placeholder:"DISTRIBUTION" help:"Which rows are asked for: ${keys}. Default: the workload's, zipf for most."`
	Rows      int64         `default:"100000" placeholder:"N" help:"How many rows there are."`
	Span      int64         `placeholder:"N" help:"How many rows an aggregate or a range is of. Default: the workload's."`
	Rounds    int           `default:"5" placeholder:"N" help:"How often each target has its turn. More rounds make narrower intervals."`
	Turn      time.Duration `default:"3s" placeholder:"DURATION" help:"How long a turn takes. A soak is many long turns."`
	Warm      time.Duration `default:"10s" placeholder:"DURATION" help:"How long a target is warmed up at most: until its hit ratio stands still."`
	Rate      float64       `placeholder:"N" help:"How many operations a second are intended (an open loop). Default: each client sends the next when the last is answered."`
	Shape     string        `default:"flat" placeholder:"NAME" help:"How the load changes in a turn: ${shapes}."`
	Distance  time.Duration `placeholder:"DURATION" help:"How far away Postgres and Redis are, there and back."`
	Staleness time.Duration `default:"1s" placeholder:"DURATION" help:"The sidecar's --staleness."`
	TTL       time.Duration `name:"ttl" default:"10s" placeholder:"DURATION" help:"How long caches keep answers that do not know of writes."`
	Seed      uint64        `default:"1" placeholder:"N" help:"Decides who asks for what."`
	Flags     []string      `placeholder:"FLAG" help:"Further flags of freshet serve, with commas between."`
	Assert    string        `placeholder:"CLAIMS" help:"Exit with 1 unless these hold in every run, with commas between: hit>0.9, p99(direct)<500 (in µs), ratio(freshet/direct)>2, ratio.p99(freshet/direct)<1. Figures: ${figures}."`
	outputFlags
}

// outputFlags say where a report goes.
type outputFlags struct {
	JSON     string `name:"json" placeholder:"FILE" help:"Write the report as JSON, for loadtest compare."`
	HTML     string `name:"html" placeholder:"FILE" help:"Write the report as one page with charts."`
	Markdown string `placeholder:"FILE" help:"Write the report as tables in Markdown."`
	Quiet    bool   `help:"Print nothing but the report."`
}

// runVars are what the help text of a run names.
func runVars() map[string]string {
	words := func(all any) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]") }
	return map[string]string{
		"benchmarks": words(standard.Names()), "yardsticks": words(standard.Yardsticks),
		"targets": words(target.Names()), "workloads": words(workload.Names()), "protocols": words(target.Protocols),
		"keys": keys.Names, "shapes": words(load.Shapes), "figures": words(report.Figures()),
		"applications": applicationNames(),
	}
}

// run runs and returns the exit code.
func (c runCommand) run(ctx context.Context, out, log io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	assertions, err := report.ParseAssertions(c.Assert)
	if err != nil {
		return fail(err)
	}
	all, err := c.runs(log)
	if err != nil {
		return fail(err)
	}
	r := report.New(strings.Join(os.Args, " "), machine(ctx, c.Program))
	for _, o := range all {
		found, err := load.Run(ctx, o)
		if len(found.Targets) > 0 && len(found.Targets[0].Turns) > 0 {
			r.Runs = append(r.Runs, found)
		}
		if err != nil {
			return fail(errors.Join(err, c.outputFlags.write(r, out)))
		}
	}
	if err := c.outputFlags.write(r, out); err != nil {
		return fail(err)
	}
	return conclude(append(r.Voids(), report.Check(r.Runs, assertions)...), log)
}

// conclude says what does not hold, and returns the exit code.
func conclude(broken []string, log io.Writer) int {
	for _, line := range broken {
		fmt.Fprintf(log, "loadtest: %s\n", line)
	}
	if len(broken) > 0 {
		return exitBroken
	}
	return 0
}

// valid says what is wrong with the flags.
func (c runCommand) valid() error {
	_, err := c.runs(io.Discard)
	return err
}

// single is the first of the runs that are asked for.
func (c runCommand) single(ctx context.Context, log io.Writer) (report.Run, error) {
	all, err := c.runs(log)
	if err != nil {
		return report.Run{}, err
	}
	return load.Run(ctx, all[0])
}

// runs are all that is asked for: each workload in each protocol, with each number of clients
// and each share of writes.
func (c runCommand) runs(log io.Writer) (all []load.Options, err error) {
	for _, name := range c.Workload {
		w, err := workload.Find(name)
		if err != nil {
			return nil, err
		}
		writes := c.Writes
		if len(writes) == 0 {
			writes = []float64{w.DefaultWrites}
		}
		for _, protocol := range c.Protocol {
			for _, clients := range c.Clients {
				for _, share := range writes {
					o, err := c.options(w, protocol, clients, share, log)
					if err != nil {
						return nil, err
					}
					all = append(all, o)
				}
			}
		}
	}
	return all, nil
}

func (c runCommand) options(w *workload.Workload, protocol string, clients int, writes float64, log io.Writer) (load.Options, error) {
	o := load.Options{
		Workload: w, Protocol: target.Protocol(protocol), Targets: c.Targets, Clients: clients, Rounds: c.Rounds, Turn: c.Turn,
		Warm: c.Warm, Rate: c.Rate, Shape: load.Shape(c.Shape), Distance: c.Distance, Seed: c.Seed,
		Target: target.Options{Program: c.Program, Staleness: c.Staleness, TTL: c.TTL, Beside: c.Beside, Flags: c.Flags},
		Mix:    workload.Mix{Rows: c.Rows, Span: c.Span, Writes: writes},
	}
	if o.Mix.Span == 0 {
		o.Mix.Span = min(w.DefaultSpan, c.Rows)
	}
	name := c.Keys
	if name == "" {
		name = w.DefaultKeys
	}
	if name == "" {
		name = "zipf"
	}
	var err error
	if o.Mix.Keys, err = keys.Parse(name); err != nil {
		return o, err
	}
	if !c.Quiet {
		title := fmt.Sprintf("%s, %s, %d clients, %g %% writes", w.Name, protocol, clients, 100*writes)
		o.Progress = func(p load.Progress) { fmt.Fprintln(log, progressLine(title, p)) }
	}
	return o, o.Validate()
}

// progressLine says what has just been done.
func progressLine(title string, p load.Progress) string {
	if p.What != "" {
		return fmt.Sprintf("%s: %s: %s", title, p.Target, p.What)
	}
	line := fmt.Sprintf("%s: round %d of %d: %-13s %8.0f/s  p99 %6.0f µs", title, p.Round, p.Rounds, p.Target, p.Turn.PerSecond, p.Turn.Read.P99)
	if p.Turn.HitRatio >= 0 {
		line += fmt.Sprintf("  hit %5.1f %%", 100*p.Turn.HitRatio)
	}
	return line + fmt.Sprintf("  behind %d, stale %d, errors %d", p.Turn.Behind, p.Turn.Stale, p.Turn.Errors)
}

// write writes the report wherever it is wanted.
func (f outputFlags) write(r *report.Report, out io.Writer) error {
	err := r.WriteText(out)
	if f.JSON != "" {
		err = errors.Join(err, r.WriteJSON(f.JSON))
	}
	if f.Markdown != "" {
		err = errors.Join(err, r.WriteMarkdown(f.Markdown))
	}
	if f.HTML != "" {
		script, style, _ := dashboard.ChartLibrary() // without it there are bars and tables
		err = errors.Join(err, r.WriteHTML(f.HTML, report.Charts{Script: script, Style: style}))
	}
	return err
}
