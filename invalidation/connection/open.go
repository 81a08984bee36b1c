package connection

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// BeforeFunc is called before each connection is opened, with the configuration it
// is opened with. What it changes counts for that connection only: a password that
// is read again, a token that expires.
type BeforeFunc func(context.Context, *pgx.ConnConfig) error

// Options say which session to open.
type Options struct {
	// Config leads to Postgres. It is copied. Required.
	Config *pgx.ConnConfig
	// Before, unless nil, is called first.
	Before BeforeFunc
	// Name is the session's application_name.
	Name string
	// Settings are those that must be in force, spelled as Postgres shows them.
	Settings map[string]string
}

// Open opens a session. ctx bounds it.
func Open(ctx context.Context, o Options) (*pgx.Conn, error) {
	config := o.Config.Copy()
	// Poolers know this one.
	config.RuntimeParams["application_name"] = o.Name
	if o.Before != nil {
		if err := o.Before(ctx, config); err != nil {
			return nil, fmt.Errorf("prepare to connect to Postgres: %w", err)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", OneLine(err))
	}
	if err := prepare(ctx, conn, o.Settings); err != nil {
		_ = conn.Close(ctx) // it is of no use
		return nil, err
	}
	return conn, nil
}

// prepare makes a session fit for use.
func prepare(ctx context.Context, conn *pgx.Conn, settings map[string]string) error {
	if err := RefusePooling(ctx, conn); err != nil {
		return err
	}
	if len(settings) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(settings))
	set, show := make([]string, len(names)), make([]string, len(names))
	for i, name := range names {
		set[i] = "pg_catalog.set_config('" + name + "', '" + settings[name] + "', false)"
		show[i] = "pg_catalog.current_setting('" + name + "')"
	}
	// The simple protocol: nothing is known yet of the session's search path.
	if _, err := conn.PgConn().Exec(ctx, "SELECT "+strings.Join(set, ", ")).ReadAll(); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	shown, err := conn.PgConn().Exec(ctx, "SELECT "+strings.Join(show, ", ")).ReadAll()
	if err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	for i, name := range names {
		if got := string(shown[0].Rows[0][i]); got != settings[name] {
			return fmt.Errorf("set up the session: %s is %q, though it was set to %q; connect to Postgres itself, not through a pooler", name, got, settings[name])
		}
	}
	return nil
}
