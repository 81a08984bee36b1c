package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
)

type uninstallCommand struct {
	upstreamFlag
	Tables watchList  `placeholder:"PATTERN" help:"Remove the triggers of these tables alone, such as shop.orders or shop.*, with their partitions; all else stays. Take them out of the patterns of serve --watch first, which would put the triggers back. Default: everything."`
	Config configFile `placeholder:"FILE" help:"YAML file as for serve; upstream is taken from it. Default: none."`
}

// Run removes what install made.
func (c *uninstallCommand) Run(ctx context.Context, out *output) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	if len(c.Tables) > 0 {
		return c.removeTables(ctx, conn, out)
	}
	if err := invalidation.Uninstall(ctx, conn); err != nil {
		return fmt.Errorf("%w\nWhat is left is removed by running freshet uninstall again", err)
	}
	_, err = fmt.Fprintf(out.stdout, "removed the triggers, the event triggers and the schema freshet from database %s\n", conn.Config().Database)
	return err
}

// removeTables removes what some tables have.
func (c *uninstallCommand) removeTables(ctx context.Context, conn *pgx.Conn, out *output) error {
	database := conn.Config().Database
	names, err := invalidation.UninstallTables(ctx, conn, c.Tables)
	switch {
	case err != nil && len(names) > 0:
		return fmt.Errorf("%w\nThe triggers of %s are gone", err, strings.Join(names, ", "))
	case err != nil:
		return err
	case len(names) == 0:
		return codedError{fmt.Errorf("nothing was removed: no table of database %s that has triggers of freshet matches %s", database, strings.Join(c.Tables, ", ")), exitNothing}
	}
	_, err = fmt.Fprintf(out.stdout, "removed the triggers of %s from database %s (%s): reads of them go to Postgres\n", plural(len(names), "table"), database, strings.Join(names, ", "))
	return err
}
