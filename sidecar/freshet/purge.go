package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// purgeCommand ends answers before their time, in every sidecar: for what no trigger
// sees, such as a function that was declared wrongly or a restored file.
type purgeCommand struct {
	upstreamFlag
	Primary        string     `placeholder:"DSN" help:"The primary, if --upstream is a hot standby: the event is written there."`
	All            bool       `help:"End every answer of the database." xor:"what"`
	Table          watchList  `placeholder:"PATTERN" help:"End what depends on a watched table, such as shop.orders or shop.*." xor:"what"`
	Shape          string     `placeholder:"ID" help:"End what depends on the tables that the statements of a shape read, by the id that freshet top shows: a running sidecar is asked, which knows it." xor:"what"`
	Role           string     `placeholder:"ROLE" help:"End what depends on the watched tables that a role may read, also through views." xor:"what"`
	Admin          string     `default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Address of the page of that sidecar."`
	AdminTokenFile string     `placeholder:"FILE" help:"File with the token of that address. Default: none."`
	Yes            bool       `help:"Do not ask. Default: what is purged has to be typed."`
	Config         configFile `placeholder:"FILE" help:"YAML file as for serve; upstream is taken from it. Default: none."`
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
	flag, dsn := "--upstream", c.Upstream
	if c.Primary != "" {
		flag, dsn = "--primary", c.Primary
	}
	conn, err := c.connectTo(ctx, flag, dsn)
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
	status, body, err := admin.act(ctx, "/api/v1/purge", dashboard.PurgeRequest{Shape: c.Shape, Confirm: c.Shape})
	switch {
	case err != nil:
		return err
	case status == http.StatusUnprocessableEntity:
		return codedError{errors.New("nothing was purged: " + oneLine(string(body))), exitNothing}
	case status != http.StatusOK:
		return errors.New(oneLine(string(body)))
	}
	var purged dashboard.Purged
	if err := json.Unmarshal(body, &purged); err != nil {
		return fmt.Errorf("read the sidecar's answer: %w", err)
	}
	_, err = fmt.Fprintf(out.stdout, "what depends on %s was ended (%s), here at once; other sidecars follow within --poll\n", plural(len(purged.Tables), "table"), strings.Join(purged.Tables, ", "))
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
