package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
)

// purgeCommand ends answers before their time, in every sidecar: for what no trigger
// sees, such as a function that was declared wrongly or a restored file.
type purgeCommand struct {
	upstreamFlag
	Primary        string       `placeholder:"DSN" help:"The primary, if --upstream is a hot standby: the event is written there."`
	Database       string       `placeholder:"NAME" help:"Which of several databases, by the name that clients ask for, as --databases or the file of --config has it. Default: that of --upstream."`
	Databases      databaseList `placeholder:"NAME: DSN" help:"Further databases, as for serve. Best in the file."`
	All            bool         `help:"End every answer of the database." xor:"what"`
	Table          watchList    `placeholder:"PATTERN" help:"End what depends on a watched table, such as shop.orders or shop.*." xor:"what"`
	Shape          string       `placeholder:"ID" help:"End what depends on the tables that the statements of a shape read, by the id that freshet top shows: a running sidecar is asked, which knows it." xor:"what"`
	Role           string       `placeholder:"ROLE" help:"End what depends on the watched tables that a role may read, also through views." xor:"what"`
	Admin          string       `default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Address of the page of that sidecar."`
	AdminTokenFile string       `placeholder:"FILE" help:"File with the token of that address. Default: none."`
	Yes            bool         `help:"Do not ask. Default: what is purged has to be typed."`
	Config         configFile   `placeholder:"FILE" help:"YAML file as for serve; upstream is taken from it. Default: none."`
}

// exitNothing: nothing matched.
const exitNothing = 3

// errUnconfirmed is returned where nobody said yes.
var errUnconfirmed = errors.New("nothing was purged: it was not confirmed")

// Run purges.
func (c *purgeCommand) Run(ctx context.Context, out *output) error {
	if !c.All && len(c.Table) == 0 && c.Shape == "" && c.Role == "" {
		return usage("say what to purge: --all, --table shop.orders, --role ROLE, or --shape ID")
	}
	if err := c.confirm(os.Stdin, out.stderr); err != nil {
		return err
	}
	if c.Shape != "" {
		return c.purgeShape(ctx, out)
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConnection(conn)
	database := conn.Config().Database
	if c.All {
		if err := invalidation.PurgeAll(ctx, conn); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "every answer of database %s was ended; sidecars follow within --poll\n", database)
		return err
	}
	if c.Role != "" {
		names, err := invalidation.PurgeRole(ctx, conn, c.Role)
		if err != nil {
			return err
		}
		return purged(out, database, names, "that role "+c.Role+" may read")
	}
	names, err := invalidation.Purge(ctx, conn, c.Table)
	if err != nil {
		return err
	}
	return purged(out, database, names, "matches "+strings.Join(c.Table, ", "))
}

// connect opens a connection to where the event is written.
func (c *purgeCommand) connect(ctx context.Context) (*pgx.Conn, error) {
	upstream, err := c.connConfig()
	if err != nil {
		return nil, err
	}
	if c.Database == "" || c.Database == cmp.Or(upstream.Database, upstream.User) {
		if c.Primary != "" {
			return c.connectTo(ctx, "--primary", c.Primary)
		}
		return c.upstreamFlag.connect(ctx)
	}
	at := slices.IndexFunc(c.Databases, func(d namedDatabase) bool { return d.Name == c.Database })
	if at < 0 {
		return nil, usage("--database %s: neither --databases nor a file of --config names it", c.Database)
	}
	d := c.Databases[at]
	if dsn := cmp.Or(d.Primary, d.Follow, d.Upstream); dsn != "" {
		return c.connectTo(ctx, "databases, "+d.Name, dsn)
	}
	return connectAs(ctx, "--upstream", withDatabase(upstream, d.Name), c.credentials())
}

// purged says what was ended: nothing, where there is no watched table of a kind.
func purged(out *output, database string, names []string, kind string) error {
	if len(names) == 0 {
		return codedError{fmt.Errorf("nothing was purged: no watched table of database %s %s", database, kind), exitNothing}
	}
	_, err := fmt.Fprintf(out.stdout, "what depends on %s of database %s was ended (%s); sidecars follow within --poll\n", plural(len(names), "table"), database, strings.Join(names, ", "))
	return err
}

// purgeShape asks a sidecar, which writes the event for all.
func (c *purgeCommand) purgeShape(ctx context.Context, out *output) error {
	admin := adminFlags{Admin: c.Admin, AdminTokenFile: c.AdminTokenFile}
	tables, err := admin.purgeShape(ctx, c.Database, c.Shape)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "what depends on %s was ended (%s), here at once; other sidecars follow within --poll\n", plural(len(tables), "table"), strings.Join(tables, ", "))
	return err
}

// confirm lets a person type what is to be purged.
func (c *purgeCommand) confirm(from io.Reader, to io.Writer) error {
	if c.Yes {
		return nil
	}
	word := "all"
	switch {
	case c.Shape != "":
		word = c.Shape
	case c.Role != "":
		word = c.Role
	case !c.All:
		word = strings.Join(c.Table, ",")
	}
	_, _ = fmt.Fprintf(to, "Every sidecar will ask Postgres again. Type %s to go on: ", word)
	line, err := bufio.NewReader(from).ReadString('\n')
	switch {
	case err != nil && line == "":
		return usage("nobody answers: say --yes")
	case strings.TrimSpace(line) != word:
		return errUnconfirmed
	}
	return nil
}
