package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/freshet/freshet/loadtest/footprint"
)

// memoryCommand measures what a sidecar keeps in memory, and what that takes.
type memoryCommand struct {
	Program string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Memory  string        `default:"64MiB" placeholder:"SIZE" help:"The sidecar's --memory."`
	Small   int           `default:"20000" placeholder:"N" help:"How many small answers are kept."`
	Large   int           `default:"8192" placeholder:"N" help:"How many rows of 32 KiB there are for large answers: more than fit."`
	Clients int           `default:"500" placeholder:"N" help:"How many clients do nothing. Each has a session of Postgres."`
	Churn   time.Duration `default:"30s" placeholder:"DURATION" help:"How long large answers come and go."`
	Quiet   bool          `help:"Print nothing but the report."`
}

// run measures and returns the exit code.
func (c memoryCommand) run(ctx context.Context, out, log io.Writer) int {
	if c.Quiet {
		log = io.Discard
	}
	fmt.Fprintln(log, machine(ctx, c.Program).Text())
	report, err := footprint.Run(ctx, footprint.Options{
		Program: c.Program, Memory: c.Memory, Small: c.Small, Large: c.Large, Clients: c.Clients, Churn: c.Churn,
		Progress: func(what string) { fmt.Fprintln(log, what) },
	})
	if err == nil {
		err = report.Write(out)
	}
	if err != nil {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	return 0
}
