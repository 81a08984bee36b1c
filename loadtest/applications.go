package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/application"
	"github.com/freshet/freshet/loadtest/report"
)

// applicationsCommand drives real applications over HTTP.
type applicationsCommand struct {
	Names   []string      `arg:"" optional:"" name:"name" help:"Which: ${applications}. Default: all."`
	Program string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Clients int           `default:"4" placeholder:"N" help:"How many users there are. Each sends the next request when the last is answered."`
	Writes  float64       `default:"0.05" placeholder:"N" help:"Which share of requests writes, from 0 to 1."`
	Rounds  int           `default:"5" placeholder:"N" help:"How often each side has its turn."`
	Turn    time.Duration `default:"10s" placeholder:"DURATION" help:"How long a turn takes."`
	Warm    time.Duration `default:"20s" placeholder:"DURATION" help:"How long a side is warmed up."`
	Seed    uint64        `default:"1" placeholder:"N" help:"Decides who asks for what."`
	Watch   []string      `sep:";" placeholder:"TABLES" help:"What is watched beside all tables by their keys, as freshet install --watch reads it, with semicolons between."`
	Flags   []string      `placeholder:"FLAG" help:"Further flags of freshet serve, with commas between."`
	JSON    string        `name:"json" placeholder:"FILE" help:"Write the report as JSON, with the statements that Postgres took longest for."`
	Quiet   bool          `help:"Print nothing but the report."`
}

// run drives them and returns the exit code.
func (c applicationsCommand) run(ctx context.Context, out, log io.Writer) int {
	if c.Quiet {
		log = io.Discard
	}
	names := c.Names
	if len(names) == 0 {
		names = application.Names()
	}
	m := machine(ctx, c.Program)
	fmt.Fprintln(log, m.Text())
	var reports []application.Report
	var failed error
	for _, name := range names {
		found, err := application.Run(ctx, name, application.Options{
			Program: c.Program, Clients: c.Clients, Writes: c.Writes, Rounds: c.Rounds, Turn: c.Turn, Warm: c.Warm, Seed: c.Seed, Watch: c.Watch, Flags: c.Flags,
			Progress: func(what string) { fmt.Fprintf(log, "%s: %s\n", name, what) },
		})
		if failed = errors.Join(failed, err); err == nil {
			reports = append(reports, found)
		}
	}
	if len(reports) > 0 {
		failed = errors.Join(failed, application.WriteText(reports, out))
	}
	if c.JSON != "" {
		failed = errors.Join(failed, c.writeJSON(reports, m))
	}
	if failed != nil {
		fmt.Fprintf(os.Stderr, "loadtest: %v\n", failed)
		return exitUnknown
	}
	return 0
}

func (c applicationsCommand) writeJSON(reports []application.Report, m report.Machine) error {
	file, err := os.Create(c.JSON)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return errors.Join(application.WriteJSON(reports, m, file), file.Close())
}

// applicationNames are what the help text names.
func applicationNames() string { return strings.Join(application.Names(), ", ") }
