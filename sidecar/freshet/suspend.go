package main

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/invalidation"
)

type suspendCommand struct {
	upstreamFlag
	Config configFile `placeholder:"FILE" help:"YAML file as for serve; upstream is taken from it. Default: none."`
}

// Run suspends.
func (c *suspendCommand) Run(ctx context.Context, out *output) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	if err := invalidation.Suspend(ctx, conn); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "suspended in database %s: no event triggers, no capture, and nothing is answered from memory until freshet resume\n", conn.Config().Database)
	return err
}

type resumeCommand struct {
	upstreamFlag
	Config configFile `placeholder:"FILE" help:"YAML file as for serve; upstream is taken from it. Default: none."`
}

// Run resumes.
func (c *resumeCommand) Run(ctx context.Context, out *output) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	report, err := invalidation.Resume(ctx, conn)
	if len(report.Watched)+len(report.Skipped) > 0 {
		printInstalled(out.stdout, conn.Config().Database, report)
	}
	return err
}
