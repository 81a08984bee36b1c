package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/freshet/freshet/loadtest/pauses"
)

// pausesCommand measures pauses of a sidecar that keeps much.
type pausesCommand struct {
	Program string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Memory  string        `default:"1GiB" placeholder:"SIZE" help:"What the one sidecar keeps. The other keeps next to nothing."`
	Entry   int           `default:"2048" placeholder:"BYTES" help:"The size of each answer that is kept."`
	Clients int           `default:"2" placeholder:"N" help:"How many clients ask at once."`
	Rounds  int           `default:"3" placeholder:"N" help:"How often each sidecar has its turn."`
	Turn    time.Duration `default:"15s" placeholder:"DURATION" help:"How long a turn takes."`
	JSON    string        `name:"json" placeholder:"FILE" help:"Write the report as JSON too."`
	Quiet   bool          `help:"Print nothing but the report."`
}

// run measures and returns the exit code.
func (c pausesCommand) run(ctx context.Context, out, log io.Writer) int {
	if c.Quiet {
		log = io.Discard
	}
	memory, err := humanize.ParseBytes(c.Memory)
	if err != nil || c.Entry < 1 || c.Clients < 1 || c.Rounds < 1 || c.Turn <= 0 {
		fmt.Fprintln(log, "loadtest: --memory takes a size such as 1GiB; the other numbers must be positive")
		return exitUnknown
	}
	fmt.Fprintln(log, machine(ctx, c.Program).Text())
	report, err := pauses.Run(ctx, pauses.Options{
		Program: c.Program, Memory: int64(memory), Entry: c.Entry, Clients: c.Clients, Rounds: c.Rounds, Turn: c.Turn,
		Progress: func(what string) { fmt.Fprintln(log, what) },
	})
	if err == nil {
		err = report.Write(out)
	}
	if err == nil && c.JSON != "" {
		err = writeJSON(c.JSON, report)
	}
	if err != nil {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	return 0
}
