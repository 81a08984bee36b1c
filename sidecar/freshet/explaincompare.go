package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/freshet/freshet/invalidation/analysis"
)

// compare says how the server differs from a version that was tested.
func (c *explainCommand) compare(ctx context.Context, to io.Writer) error {
	connConfig, err := c.connConfig()
	if err != nil {
		return codedError{err, exitUsage}
	}
	ctx, cancel := context.WithTimeout(ctx, compareMax)
	defer cancel()
	comparison, err := analysis.Compare(ctx, analysis.Options{ConnConfig: connConfig, BeforeConnect: c.credentials()})
	if err != nil {
		return codedError{fmt.Errorf("compare the server: %w", err), exitUsage}
	}
	if c.JSON {
		encoder := json.NewEncoder(to)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(comparison)
	} else {
		printComparison(to, comparison)
	}
	if err == nil && !comparison.Same() {
		return notCacheable
	}
	return err
}

func printComparison(w io.Writer, c *analysis.Comparison) {
	tested := "which was not tested; it is compared with the newest that was"
	if c.Tested {
		tested = "a version that was tested; it is compared with itself"
	}
	_, _ = fmt.Fprintf(w, "server:    PostgreSQL %s, %s: %d\n", c.Version, tested, c.With)
	_, _ = fmt.Fprintf(w, "tried:     %d statements, with %d kinds of nodes in their trees\n", c.Statements, c.Nodes)
	if c.Same() {
		_, _ = fmt.Fprintf(w, "differs:   nothing\n")
		return
	}
	heading := "trees:     "
	for _, tree := range c.Trees {
		_, _ = fmt.Fprintf(w, "%s%s\n", heading, tree)
		heading = "           "
	}
	heading = "verdicts:  "
	for _, v := range c.Verdicts {
		_, _ = fmt.Fprintf(w, "%s%s\n             here:          %s\n             PostgreSQL %d: %s\n", heading, v.Statement, v.Here, c.With, orNone(v.There))
		heading = "           "
	}
}
