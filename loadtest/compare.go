package main

import (
	"fmt"
	"io"

	"github.com/freshet/freshet/loadtest/report"
)

// compareCommand says what has changed between two reports.
type compareCommand struct {
	Before string `arg:"" placeholder:"FILE" help:"A report of loadtest run --json."`
	After  string `arg:"" placeholder:"FILE" help:"A later one."`
}

// run compares and returns the exit code.
func (c compareCommand) run(out, log io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(log, "loadtest: %v\n", err)
		return exitUnknown
	}
	before, err := report.ReadJSON(c.Before)
	if err != nil {
		return fail(err)
	}
	after, err := report.ReadJSON(c.After)
	if err != nil {
		return fail(err)
	}
	changes, err := report.Compare(before, after)
	if err == nil {
		err = report.WriteChanges(out, changes)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}
