package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/invalidation"
)

type installCommand struct {
	upstreamFlag
	Watch        watchList     `placeholder:"PATTERN" help:"Tables to watch, such as public.*, shop.orders or public.users(id, email). Required."`
	FollowerRole []string      `placeholder:"ROLE" aliases:"grant" help:"Roles that serve runs as, with no other rights: they get what following changes and analysing statements needs. Repeatable. Default: none beside those that have it already."`
	PrintSQL     bool          `name:"print-sql" help:"Print the SQL instead of running it, for review or for a role with more rights. Default: run it."`
	DryRun       bool          `help:"Say what would be done, and do nothing. Default: do it."`
	Wait         time.Duration `placeholder:"DURATION" help:"How long to wait for Postgres to accept connections, for another installer, and for the locks of tables. Default: not for Postgres, and a few seconds for locks."`
	Force        bool          `help:"Install although a publication FOR ALL TABLES will contain the tables of schema freshet, which stops its subscribers. Default: off."`
	Config       configFile    `placeholder:"FILE" help:"YAML file as for serve; upstream and watch are taken from it. Default: none."`
}

// Run installs, or prints how.
func (c *installCommand) Run(ctx context.Context, out *output) error {
	if len(c.Watch) == 0 {
		return usage("--watch is missing: name the tables to watch, for example --watch 'public.*'")
	}
	if c.Wait < 0 {
		return usage("--wait %s is out of range: give a time, such as 1m", c.Wait)
	}
	until := time.Now().Add(c.Wait)
	conn, err := c.connectUntil(ctx, until)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	options := invalidation.Options{Watch: c.Watch, FollowerRoles: c.FollowerRole, Force: c.Force, Wait: max(0, time.Until(until))}
	if c.DryRun {
		preview, err := invalidation.PreviewInstall(ctx, conn, options)
		if err != nil {
			return suggest(err)
		}
		printPreview(out.stdout, conn.Config().Database, preview)
		return nil
	}
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
	printTables(table, "watched", r.Watched, r.Skipped)
	_ = table.Flush()
	printEarly(w, r.Early)
	if r.Unreported != "" {
		_, _ = fmt.Fprintf(w, "WARNING: no event triggers: what others do to the schema is noticed within --staleness, and not at once: %s\n", r.Unreported)
	}
	_, _ = fmt.Fprintf(w, "%s watched in database %s, %d skipped\n", plural(len(r.Watched), "table"), database, len(r.Skipped))
}

// printTables tells which tables are watched, and which are not.
func printTables(to io.Writer, changed string, watched []invalidation.Installed, skipped []invalidation.Skipped) {
	for _, t := range watched {
		state := "watched already"
		if t.Changed {
			state = changed
		}
		details := "changes told apart by " + strings.Join(t.Columns, ", ")
		if len(t.Columns) == 0 {
			details = "any change counts for every row"
		}
		if t.Tables > 1 {
			details += "; with " + english.Plural(t.Tables-1, "partition or child", "partitions or children")
		}
		_, _ = fmt.Fprintf(to, "%s\t%s.%s\t%s\n", state, t.Schema, t.Name, details)
	}
	for _, t := range skipped {
		_, _ = fmt.Fprintf(to, "skipped\t%s.%s\t%s\n", t.Schema, t.Name, t.Reason)
	}
}

// printEarly tells of patterns that match nothing yet.
func printEarly(w io.Writer, patterns []string) {
	for _, pattern := range patterns {
		_, _ = fmt.Fprintf(w, "%s matches no table yet: those made later are watched by \"freshet serve --watch\" if its role may install, or once this command is run again\n", pattern)
	}
}

// printPreview tells a person what would be done.
func printPreview(w io.Writer, database string, p invalidation.Preview) {
	for _, words := range p.Shared {
		_, _ = fmt.Fprintf(w, "would %s\n", words)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	printTables(table, "would watch", p.Watched, p.Skipped)
	_ = table.Flush()
	printEarly(w, p.Early)
	n := 0
	for _, t := range p.Watched {
		if t.Changed {
			n++
		}
	}
	_, _ = fmt.Fprintf(w, "nothing was changed in database %s: %s would get triggers; --print-sql shows the statements\n", database, plural(n, "table"))
}

// connectPause is the time between two attempts to reach Postgres.
const connectPause = 200 * time.Millisecond

// connectUntil connects, again and again until a moment while Postgres does not accept
// connections, or has not got the database yet. Who is refused is not let in by asking again.
func (c *installCommand) connectUntil(ctx context.Context, until time.Time) (*pgx.Conn, error) {
	for {
		conn, err := c.connect(ctx)
		refused, isRefused := errors.AsType[*pgconn.PgError](err)
		if _, misuse := errors.AsType[codedError](err); err == nil || misuse || isRefused && strings.HasPrefix(refused.Code, "28") || !time.Now().Before(until) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(connectPause):
		}
	}
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
