package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/freshet/freshet/loadtest/growth"
)

// growthCommand measures whether a sidecar grows.
type growthCommand struct {
	Program  string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Duration time.Duration `default:"1h" placeholder:"DURATION" help:"How long clients come and go. The first third is not judged."`
	Rate     int           `default:"100" placeholder:"N" help:"Operations a second of all clients together."`
	Sample   time.Duration `default:"10s" placeholder:"DURATION" help:"How often the sidecar is looked at."`
	Seed     uint64        `default:"1" placeholder:"N" help:"Decides who does what."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write the report as JSON too."`
	Quiet    bool          `help:"Print nothing but the report."`
}

// run measures and returns the exit code.
func (c growthCommand) run(ctx context.Context, out, log io.Writer) int {
	if c.Quiet {
		log = io.Discard
	}
	if c.Rate < 1 || c.Duration <= 0 || c.Sample <= 0 {
		fmt.Fprintln(log, "loadtest: --rate, --duration and --sample must be positive")
		return exitUnknown
	}
	fmt.Fprintln(log, machine(ctx, c.Program).Text())
	report, err := growth.Run(ctx, growth.Options{
		Program: c.Program, Duration: c.Duration, Rate: c.Rate, Sample: c.Sample, Seed: c.Seed,
		Progress: func(what string) { fmt.Fprintln(log, what) },
	})
	if len(report.Samples) > 0 {
		err = errors.Join(err, report.Write(out))
		if c.JSON != "" {
			err = errors.Join(err, writeJSON(c.JSON, report))
		}
	}
	if err != nil {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	return conclude(report.Broken(), log)
}

// writeJSON writes a report, with all that was sampled, to a file.
func writeJSON(path string, report any) error {
	text, err := json.Marshal(report)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
