package report

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// Change is how a target's figure in one report stands to the one in another.
type Change struct {
	Run, Target, Figure string
	Before, After       float64
	Ratio               Interval
}

// Certain reports whether the figure has changed, with a confidence of 95 %.
func (c Change) Certain() bool { return c.Ratio.Excludes(1) }

// compared are the figures of a comparison.
var compared = []string{"throughput", "p50", "p99", "processor"}

// Compare compares what two reports have in common: the same targets under the same
// circumstances.
func Compare(before, after *Report) ([]Change, error) {
	var changes []Change
	for i := range before.Runs {
		for j := range after.Runs {
			a, b := &before.Runs[i], &after.Runs[j]
			if a.circumstances() == b.circumstances() {
				changes = append(changes, compareRuns(a, b)...)
			}
		}
	}
	if len(changes) == 0 {
		return nil, errors.New("compare reports: they have no run in common: the same workload, protocol, clients, writes and targets")
	}
	return changes, nil
}

func compareRuns(before, after *Run) (changes []Change) {
	for i := range before.Targets {
		a := &before.Targets[i]
		b := after.Find(a.Name)
		if b == nil {
			continue
		}
		for _, figure := range compared {
			of := figures[figure]
			changes = append(changes, Change{
				Run: before.Title(), Target: a.Name, Figure: figure, Before: of(&a.Whole), After: of(&b.Whole),
				Ratio: apart(each(b.Turns, of), each(a.Turns, of)),
			})
		}
	}
	return changes
}

// WriteChanges writes a table of changes, with a mark at those that are certain.
func WriteChanges(to io.Writer, changes []Change) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	run := ""
	for _, c := range changes {
		if c.Run != run {
			run = c.Run
			fmt.Fprintf(w, "%s\n  target\tfigure\tbefore\tafter\tratio\t95 %% of\t\n", run)
		}
		mark := ""
		if c.Certain() {
			mark = "changed"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Target, c.Figure, short(c.Before), short(c.After), short(c.Ratio.Estimate), c.Ratio.text(), mark)
	}
	return w.Flush()
}
