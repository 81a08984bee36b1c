package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/fleet"
)

// fleetCommand measures fleets of several sizes.
type fleetCommand struct {
	Program   string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Sidecars  []int         `default:"1,2,4,8,16" placeholder:"LIST" help:"Sizes of the fleets."`
	Shared    []string      `default:"redis,cluster" placeholder:"LIST" help:"What they share: redis, one of them; cluster, of three masters."`
	Phase     time.Duration `default:"5s" placeholder:"DURATION" help:"How long each thing is measured that takes time."`
	Writes    int           `default:"100" placeholder:"N" help:"Rows written in a second where that is measured."`
	Rows      int           `default:"2000" placeholder:"N" help:"How many rows there are."`
	Cold      int           `default:"100" placeholder:"N" help:"How many of them are asked for as cold keys."`
	Commits   int           `default:"50" placeholder:"N" help:"How many commits are timed until every sidecar shows them."`
	Staleness time.Duration `default:"1s" placeholder:"DURATION" help:"The sidecars' --staleness."`
	Flags     []string      `placeholder:"FLAG" help:"Further flags of freshet serve, with commas between."`
	JSON      string        `name:"json" placeholder:"FILE" help:"Write the report as JSON."`
	Markdown  string        `placeholder:"FILE" help:"Write the report as tables in Markdown."`
	Quiet     bool          `help:"Print nothing but the report."`
}

// run measures and returns the exit code.
func (c fleetCommand) run(ctx context.Context, out, log io.Writer) int {
	o := fleet.Options{Program: c.Program, Sidecars: c.Sidecars, Phase: c.Phase, Writes: c.Writes, Rows: c.Rows, Cold: c.Cold,
		Commits: c.Commits, Staleness: c.Staleness, Flags: c.Flags}
	for _, kind := range c.Shared {
		o.Kinds = append(o.Kinds, fleet.Kind(kind))
	}
	if !c.Quiet {
		o.Progress = func(what string) { fmt.Fprintln(log, what) }
	}
	where := machine(ctx, c.Program).Text()
	cases, err := fleet.Run(ctx, o)
	r := fleet.NewReport(strings.Join(os.Args, " "), where, c.Writes, cases)
	if len(cases) > 0 {
		err = errors.Join(err, c.write(r, out))
	}
	if code := conclude(r.Broken(), log); code != 0 || err == nil {
		return code
	}
	fmt.Fprintf(log, "loadtest: %v\n", err)
	return exitUnknown
}

func (c fleetCommand) write(r *fleet.Report, out io.Writer) error {
	err := r.WriteMarkdown(out)
	if c.JSON != "" {
		err = errors.Join(err, r.WriteJSON(c.JSON))
	}
	if c.Markdown != "" {
		err = errors.Join(err, r.WriteMarkdownFile(c.Markdown))
	}
	return err
}
