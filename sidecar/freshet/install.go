package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize/english"
	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
)

type installCommand struct {
	upstreamFlag
	Watch        watchList  `placeholder:"PATTERN" help:"Tables to watch, such as public.*, shop.orders or public.users(id, email). Required."`
	FollowerRole []string   `placeholder:"ROLE" help:"Roles that serve runs as, with no other rights: they get what following changes and analysing statements needs. Repeatable. Default: none beside those that have it already."`
	PrintSQL     bool       `name:"print-sql" help:"Print the SQL instead of running it, for review or for a role with more rights. Default: run it."`
	Force        bool       `help:"Install although a publication FOR ALL TABLES will contain the tables of schema freshet, which stops its subscribers. Default: off."`
	Config       configFile `placeholder:"FILE" help:"YAML file as for serve; upstream and watch are taken from it. Default: none."`
}

// Run installs, or prints how.
func (c *installCommand) Run(ctx context.Context, out *output) error {
	if len(c.Watch) == 0 {
		return usage("--watch is missing: name the tables to watch, for example --watch 'public.*'")
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	options := invalidation.Options{Watch: c.Watch, FollowerRoles: c.FollowerRole, Force: c.Force}
	if c.PrintSQL {
		script, err := invalidation.Script(ctx, conn, options)
		if err != nil {
			return suggest(err)
		}
		_, err = io.WriteString(out.stdout, script)
		return err
	}
	report, err := invalidation.Install(ctx, conn, options)
	if err == nil || len(report.Watched)+len(report.Skipped) > 0 {
		printInstalled(out.stdout, conn.Config().Database, report) // an error may have left it half done
	}
	if err != nil {
		return suggest(err)
	}
	if len(report.Watched)+len(report.Early) == 0 {
		return codedError{fmt.Errorf("no table is watched: none that can be matches %s", strings.Join(c.Watch, ", ")), exitFailure}
	}
	return nil
}

// suggest names what a pattern that matches nothing may have meant.
func suggest(err error) error {
	unmatched, ok := errors.AsType[*invalidation.UnmatchedError](err)
	if !ok {
		return err
	}
	if name := nearest(unmatched.Pattern, unmatched.Names); name != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, name)
	}
	return codedError{err, exitFailure}
}

// printInstalled tells a person what was done, and what was not and why.
func printInstalled(w io.Writer, database string, r invalidation.Report) {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, t := range r.Watched {
		state := "watched already"
		if t.Changed {
			state = "watched"
		}
		details := "changes told apart by " + strings.Join(t.Columns, ", ")
		if len(t.Columns) == 0 {
			details = "any change counts for every row"
		}
		if t.Tables > 1 {
			details += "; with " + english.Plural(t.Tables-1, "partition or child", "partitions or children")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s.%s\t%s\n", state, t.Schema, t.Name, details)
	}
	for _, t := range r.Skipped {
		_, _ = fmt.Fprintf(table, "skipped\t%s.%s\t%s\n", t.Schema, t.Name, t.Reason)
	}
	_ = table.Flush()
	for _, pattern := range r.Early {
		_, _ = fmt.Fprintf(w, "%s matches no table yet: those made later are watched by \"freshet serve --watch\" if its role may install, or once this command is run again\n", pattern)
	}
	if r.Unreported != "" {
		_, _ = fmt.Fprintf(w, "WARNING: no event triggers: what others do to the schema is noticed within --staleness, and not at once: %s\n", r.Unreported)
	}
	_, _ = fmt.Fprintf(w, "%s watched in database %s, %d skipped\n", plural(len(r.Watched), "table"), database, len(r.Skipped))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func closeConnection(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), connectMax)
	defer cancel()
	_ = conn.Close(ctx) // what was asked for is done, or its error is reported
}
