package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/loadtest/check"
)

// mutantsCommand builds the mutants of package check and finds them out.
type mutantsCommand struct {
	Source string        `default:"." placeholder:"DIR" help:"The top of Freshet's source tree."`
	Only   string        `placeholder:"WORDS" help:"Only the mutants whose name holds these words."`
	Hunt   time.Duration `placeholder:"DURATION" help:"Let everybody loose on each for as long as that, at most, and see whether it is met by chance. Default: play its script, which forces it."`
	Seed   uint64        `default:"1" placeholder:"N" help:"Decides what happens in a hunt."`
}

// run finds out the mutants and returns the exit code.
func (c mutantsCommand) run(ctx context.Context, out, log io.Writer) int {
	all, err := c.findAll(ctx, out, log)
	switch {
	case err != nil:
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	case !all:
		return exitBroken
	}
	return 0
}

// findAll reports whether all mutants that are meant were found out; it logs what is the matter
// with one that was not, and goes on.
func (c mutantsCommand) findAll(ctx context.Context, out, log io.Writer) (all bool, err error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return false, fmt.Errorf("create a directory for mutants: %w", err)
	}
	defer os.RemoveAll(dir)
	together, err := check.BuildSwitched(ctx, c.Source, dir)
	if err != nil {
		return false, err
	}
	ground := new(check.Ground)
	defer func() { err = errors.Join(err, ground.Close()) }()
	all, tried := true, 0
	for _, m := range check.Mutants() {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !strings.Contains(m.Name, c.Only) {
			continue
		}
		tried++
		began := time.Now()
		found, err := c.find(ctx, m, together, ground)
		if err != nil {
			fmt.Fprintf(log, "loadtest: %v\n", err)
			all = false
			continue
		}
		fmt.Fprintf(out, "%s\n  found out after %.1f s: %s\n", m.Name, time.Since(began).Seconds(), found)
	}
	if tried == 0 {
		return false, fmt.Errorf("no mutant's name holds %q", c.Only)
	}
	return all, nil
}

// find finds a mutant out, on a ground. together is the program of those that can be switched.
func (c mutantsCommand) find(ctx context.Context, m check.Mutant, together string, ground *check.Ground) (found string, err error) {
	program := together
	if !m.Switchable() {
		dir, err := os.MkdirTemp("", "mutant")
		if err != nil {
			return "", fmt.Errorf("create a directory for a mutant: %w", err)
		}
		defer os.RemoveAll(dir)
		if program, err = m.Build(ctx, c.Source, dir); err != nil {
			return "", err
		}
	}
	if c.Hunt > 0 {
		return m.Hunt(ctx, program, c.Hunt, c.Seed)
	}
	return m.Force(ctx, program, ground)
}
