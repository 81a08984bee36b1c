package shop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// ErrNoStatistics says that PostgreSQL does not count statements.
var ErrNoStatistics = errors.New("pg_stat_statements is not loaded: it belongs to PostgreSQL's contrib modules, " +
	"and shared_preload_libraries must name it")

// counters reads what PostgreSQL itself counts: which statements it executed, and
// for whom. It has a connection of its own and may be used by many goroutines,
// which wait for each other.
type counters struct {
	dsn      string
	mu       sync.Mutex
	conn     *pgx.Conn         // another one after a restart of PostgreSQL's
	oids     map[string]uint32 // by role
	database uint32
}

func openCounters(ctx context.Context, dsn string) (*counters, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("read PostgreSQL's counters: connect: %w", err)
	}
	c := &counters{dsn: dsn, conn: conn, oids: map[string]uint32{}}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read PostgreSQL's counters: %w", err), c.close())
	}
	return c, nil
}

func (c *counters) prepare(ctx context.Context) error {
	var loaded bool
	err := c.conn.QueryRow(ctx, `SELECT 'pg_stat_statements' = ANY (string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ','))`).Scan(&loaded)
	if err != nil {
		return err
	}
	if !loaded {
		return ErrNoStatistics
	}
	// In a schema of its own: its view and functions are no part of the shop.
	if _, err := c.conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS statistics; CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA statistics`); err != nil {
		return err
	}
	if err := c.conn.QueryRow(ctx, `SELECT oid FROM pg_database WHERE datname = current_database()`).Scan(&c.database); err != nil {
		return err
	}
	for _, role := range roles {
		var oid uint32
		if err := c.conn.QueryRow(ctx, `SELECT oid FROM pg_roles WHERE rolname = $1`, role).Scan(&oid); err != nil {
			return fmt.Errorf("look up role %s: %w", role, err)
		}
		c.oids[role] = oid
	}
	return nil
}

// reached returns how often PostgreSQL has executed each of the shop's reads for
// the role.
func (c *counters) reached(ctx context.Context, role string) (map[*statement]uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.connectAgain(ctx); err != nil {
		return nil, err
	}
	result, err := c.conn.Query(ctx, `SELECT query, calls FROM statistics.pg_stat_statements WHERE userid = $1 AND dbid = $2 AND query LIKE 'SELECT%'`, c.oids[role], c.database)
	if err != nil {
		return nil, fmt.Errorf("read PostgreSQL's counters: %w", err)
	}
	calls := map[*statement]uint64{}
	var text string
	var n uint64
	_, err = pgx.ForEachRow(result, []any{&text, &n}, func() error {
		if st := statementOf(text); st != nil {
			calls[st] += n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read PostgreSQL's counters: %w", err)
	}
	return calls, nil
}

// statementOf recognizes a statement by its text before the conditions, in which
// PostgreSQL may have replaced literals.
func statementOf(text string) *statement {
	for _, st := range append(browsing[:len(browsing):len(browsing)], salesReport) {
		head, _, _ := strings.Cut(st.sql, " WHERE ")
		if strings.HasPrefix(text, head) {
			return st
		}
	}
	return nil
}

// calls returns how many reads PostgreSQL has executed for the role. It costs
// less than reached, and counts every statement of the role.
func (c *counters) calls(ctx context.Context, role string) (n int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.connectAgain(ctx); err != nil {
		return 0, err
	}
	err = c.conn.QueryRow(ctx, `SELECT coalesce(sum(calls), 0)::bigint FROM statistics.pg_stat_statements(false) WHERE userid = $1 AND dbid = $2`, c.oids[role], c.database).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read PostgreSQL's counters: %w", err)
	}
	return n, nil
}

// connectAgain replaces a connection that has ended.
func (c *counters) connectAgain(ctx context.Context) error {
	if c.conn.Ping(ctx) == nil {
		return nil
	}
	_ = c.conn.Close(ctx) // it has ended
	conn, err := pgx.Connect(ctx, c.dsn)
	if err != nil {
		return fmt.Errorf("read PostgreSQL's counters: connect again: %w", err)
	}
	c.conn = conn
	return nil
}

func (c *counters) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), queryWaitMax)
	defer cancel()
	return c.conn.Close(ctx)
}
