package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/report"
)

// benchCommand runs the suite and says which goals are met.
type benchCommand struct {
	Program string        `default:"bin/freshet" placeholder:"PATH" help:"The built freshet."`
	Long    bool          `help:"Also with 1 and 32 clients, other workloads, shapes and shares of writes. Default: what is done in less than fifteen minutes."`
	Only    string        `placeholder:"WORDS" help:"Only the parts whose name holds these words."`
	Rounds  int           `default:"3" placeholder:"N" help:"How often each target has its turn."`
	Turn    time.Duration `default:"1500ms" placeholder:"DURATION" help:"How long a turn takes."`
	outputFlags
}

// clients are the numbers of clients that hits and misses are measured with.
func (c benchCommand) clients() []int {
	if c.Long {
		return []int{1, 8, 32}
	}
	return []int{8}
}

// writes are the shares of writes of the mixes, in percent.
func (c benchCommand) writes() []float64 {
	if c.Long {
		return []float64{0, 1, 5, 10, 25, 50}
	}
	return []float64{1, 10}
}

func (c benchCommand) expensiveWrites() []float64 {
	if c.Long {
		return []float64{0, 1, 5, 10, 25}
	}
	return []float64{5}
}

// run runs and returns the exit code: goals that are not met are told, and are no failure.
func (c benchCommand) run(ctx context.Context, out, log io.Writer) int {
	began := time.Now()
	r := report.New(strings.Join(os.Args, " "), machine(ctx, c.Program))
	var failed error
	for _, p := range suite(c) {
		if !strings.Contains(p.name, c.Only) {
			continue
		}
		found, err := p.run(ctx, log)
		found.Name = p.name
		if err != nil {
			// One peer that fails is no reason to measure nothing else.
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		} else {
			r.Runs = append(r.Runs, found)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(r.Runs) == 0 {
		fmt.Fprintf(log, "loadtest: nothing was measured: %v\n", failed)
		return exitUnknown
	}
	r.Judge(goals(c))
	if c.Only != "" {
		r.Verdicts = slices.DeleteFunc(r.Verdicts, func(v report.Verdict) bool { return v.Unknown })
	}
	if err := errors.Join(failed, c.outputFlags.write(r, out)); err != nil {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	fmt.Fprintf(out, "\nin %s\n", time.Since(began).Round(time.Second))
	if len(r.Voids()) > 0 {
		return exitBroken
	}
	return 0
}
