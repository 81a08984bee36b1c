package main

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/invalidation"
)

type uninstallCommand struct {
	upstreamFlag
	Config configFile `placeholder:"FILE" help:"YAML file as for serve; upstream is taken from it. Default: none."`
}

// Run removes what install made.
func (c *uninstallCommand) Run(ctx context.Context, out *output) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	if err := invalidation.Uninstall(ctx, conn); err != nil {
		return fmt.Errorf("%w\nWhat is left is removed by running freshet uninstall again", err)
	}
	_, err = fmt.Fprintf(out.stdout, "removed the triggers, the event triggers and the schema freshet from database %s\n", conn.Config().Database)
	return err
}
