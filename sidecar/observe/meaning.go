package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/analysis"
)

// meaning is what statements mean in sessions of one state.
type meaning struct {
	// request is one for the analysis, without its statement.
	request analysis.Request
	// failed says that it could not be found out.
	failed bool
}

const (
	// meaningsMax bounds the states that are known.
	meaningsMax = 4096
	// askMax bounds a question of the observer's own.
	askMax = 5 * time.Second
)

// meaningOf asks what statements of a client mean, under the settings that it has now.
func (o *Observer) meaningOf(ctx context.Context, c *client) *meaning {
	if c.meaning != nil {
		return c.meaning
	}
	state := c.state()
	m, ok := o.meanings[state]
	if !ok {
		m = &meaning{}
		if err := o.findMeaning(ctx, c, m); err != nil {
			o.logger.Debug("cannot find out what statements of a session mean", "role", c.role, "error", err)
			m.failed = true
		}
		if len(o.meanings) >= meaningsMax {
			clear(o.meanings)
		}
		o.meanings[state] = m
	}
	c.meaning = m
	return m
}

// parsed are the settings that are taken over from clients.
func parsed(name string) bool { return name == "search_path" || analysis.Applies(name) }

// findMeaning makes a transaction of the observer's own read as the client does, and asks
// what that is. The transaction is rolled back.
func (o *Observer) findMeaning(ctx context.Context, c *client, m *meaning) error {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	conn, err := o.connection(ctx)
	if err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.Background()) }() // a lost connection is noticed when it is used
	role := c.actingRole()
	const find = "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1"
	if err := tx.QueryRow(ctx, find, role).Scan(&m.request.Role); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find role %s: %w", role, err)
	}
	names, err := o.adopt(ctx, tx, c)
	if err != nil {
		return err
	}
	// "$user" is the client's.
	const path = `SELECT pg_catalog.set_config('search_path', pg_catalog.replace(pg_catalog.replace(pg_catalog.current_setting('search_path'), '"$user"', pg_catalog.quote_ident($1)), '$user', pg_catalog.quote_ident($1)), true)`
	if _, err := tx.Exec(ctx, path, role); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, "SELECT pg_catalog.current_schemas(true)::pg_catalog.text[]").Scan(&m.request.SearchPath); err != nil {
		return err
	}
	m.request.Settings = map[string]string{}
	for _, name := range names {
		var value string
		if err := tx.QueryRow(ctx, "SELECT pg_catalog.current_setting($1)", name).Scan(&value); err != nil {
			return err
		}
		m.request.Settings[name] = value
	}
	if encoding, ok := c.settings["client_encoding"]; ok {
		m.request.Settings["client_encoding"] = strings.Trim(encoding.value, `'"`)
	}
	return nil
}

// adopt sets what the client has set, and what Postgres sets for its role and database, and
// returns the names.
func (o *Observer) adopt(ctx context.Context, tx pgx.Tx, c *client) (names []string, err error) {
	const defaults = `SELECT unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s
		LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
		WHERE (s.setrole = 0 OR r.rolname = $1) AND (s.setdatabase = 0 OR d.datname = $2)
		ORDER BY s.setrole <> 0, s.setdatabase <> 0`
	rows, err := tx.Query(ctx, defaults, c.role, c.database)
	if err != nil {
		return nil, err
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	set := func(name string, s setting) error {
		if !parsed(name) {
			return nil
		}
		names = append(names, name)
		if s.raw {
			_, err := tx.Exec(ctx, "SELECT pg_catalog.set_config($1, $2, true)", name, s.value)
			return err
		}
		// As one message of the extended protocol it is one statement, whatever is in it.
		_, err := tx.Exec(ctx, "SET LOCAL "+name+" TO "+s.value, pgx.QueryExecModeExec)
		return err
	}
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		if err := set(strings.ToLower(name), setting{value, true}); err != nil {
			return nil, err
		}
	}
	for _, of := range []map[string]setting{c.settings, c.local} {
		for name, s := range of {
			if err := set(name, s); err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}
