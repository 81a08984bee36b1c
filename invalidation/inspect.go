package invalidation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// Installation is what is found of Freshet in a database, by whoever looks at it without
// changing it.
type Installation struct {
	// Owner owns schema freshet. Empty: nothing is installed, and all else is empty too.
	Owner string
	// Base are problems of what all tables share, Unreported says why changes of the
	// schema are not events. Empty: all is well.
	Base       []string
	Unreported string
	// Missing are the rights that the role lacks to follow, such as "SELECT on
	// freshet.trim".
	Missing []string
	// Refused is why no event can be written; nil if one can.
	Refused error
	// Problems are of single tables, each a sentence. Watched counts the tables that
	// changes are known of, Unwatched names the others, Keyless those among the watched
	// that have no primary key.
	Problems           []string
	Watched            int
	Unwatched, Keyless []string
	// Publications contain our tables.
	Publications []string
	// Outbox is what waits there, MarkedAt when it was last trimmed, Vacuumed whether
	// autovacuum cares for it.
	Outbox   OutboxStats
	MarkedAt time.Time
	Vacuumed bool
}

const (
	ownerSQL = `SELECT r.rolname::text FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner WHERE n.nspname = 'freshet'`
	// usersTablesSQL lists the tables of users, and whether they have a primary key.
	usersTablesSQL = `SELECT c.oid, n.nspname || '.' || c.relname, EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('information_schema', 'freshet')
AND NOT starts_with(n.nspname::text, 'pg_') ORDER BY 2`
	missingSQL = `SELECT one || ' on freshet.' || need.name FROM unnest($1::text[], $2::text[]) AS need(name, rights)
CROSS JOIN LATERAL string_to_table(need.rights, ', ') AS one
JOIN pg_catalog.pg_class c ON c.relname = need.name JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'freshet'
WHERE NOT has_table_privilege(c.oid, one) ORDER BY 1`
	vacuumedSQL = `SELECT current_setting('autovacuum')::boolean AND NOT coalesce('autovacuum_enabled=false' = ANY (c.reloptions) OR 'autovacuum_enabled=off' = ANY (c.reloptions), false)
FROM pg_catalog.pg_class c WHERE c.oid = 'freshet.outbox'::regclass`
)

// PublicationsForAll lists the publications FOR ALL TABLES of a database: they contain
// our tables, or would.
func PublicationsForAll(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT pubname::text FROM pg_catalog.pg_publication WHERE puballtables ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("inspect the publications: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Inspect looks at what is installed in a database, as the role of conn. What may not be
// read is left empty, and among Missing.
func Inspect(ctx context.Context, conn *pgx.Conn) (Installation, error) {
	var i Installation
	err := conn.QueryRow(ctx, ownerSQL).Scan(&i.Owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return i, nil
	}
	if err != nil {
		return i, fmt.Errorf("find schema freshet: %w", err)
	}
	text, at, err := readCatalog(ctx, conn)
	if err != nil {
		return i, err
	}
	c, err := parseCatalog(text)
	if err != nil {
		return i, err
	}
	i.Base, i.Unreported, i.Publications = c.baseProblems(), c.unreported(), c.Published
	if len(i.Base) > 0 {
		return i, nil
	}
	return i, errors.Join(i.inspectTables(ctx, conn, c, newState(c, at)), i.inspectRights(ctx, conn), i.inspectOutbox(ctx, conn))
}

// inspectTables compares the tables of users with those that are watched.
func (i *Installation) inspectTables(ctx context.Context, conn *pgx.Conn, c *catalog, state *State) error {
	i.Problems = c.treeProblems()
	rows, err := conn.Query(ctx, usersTablesSQL)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	var oid uint32
	var name string
	var keyed bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &name, &keyed}, func() error {
		_, watched := state.Table(oid)
		switch {
		case !watched:
			i.Unwatched = append(i.Unwatched, name)
		case !keyed:
			i.Keyless = append(i.Keyless, name)
			i.Watched++
		default:
			i.Watched++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	return nil
}

// treeProblems says of each table that has triggers and cannot be watched why not.
func (c *catalog) treeProblems() []string {
	functions := c.functionsByOID()
	var problems []string
	for _, t := range c.trees() {
		if _, _, err := t.verify(functions); err != nil {
			problems = append(problems, err.Error())
		}
	}
	slices.Sort(problems)
	return problems
}

func (i *Installation) inspectRights(ctx context.Context, conn *pgx.Conn) error {
	tables, rights := rightsNeeded()
	rows, err := conn.Query(ctx, missingSQL, tables, rights)
	if err != nil {
		return fmt.Errorf("ask for the rights of the role: %w", err)
	}
	if i.Missing, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("ask for the rights of the role: %w", err)
	}
	return nil
}

// inspectOutbox tries to write an event, which nobody ever sees, and measures the outbox.
func (i *Installation) inspectOutbox(ctx context.Context, conn *pgx.Conn) error {
	if len(i.Missing) > 0 {
		return nil
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("try to write an event: %w", err)
	}
	_, i.Refused = tx.Exec(ctx, unreportedSQL, fence.SchemaText)
	if err := tx.Rollback(ctx); err != nil {
		return fmt.Errorf("try to write an event: %w", err)
	}
	if i.Outbox, err = measureOutbox(ctx, conn); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, "SELECT marked_at FROM freshet.trim").Scan(&i.MarkedAt); err != nil {
		return fmt.Errorf("ask for the trim mark: %w", err)
	}
	if err := conn.QueryRow(ctx, vacuumedSQL).Scan(&i.Vacuumed); err != nil {
		return fmt.Errorf("ask for autovacuum: %w", err)
	}
	return nil
}

// TimeLook makes two looks at the outbox, as a follower does, and returns how long the
// second took: the first one reads all that is there.
func TimeLook(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	greeting, err := greet(ctx, conn)
	if err != nil {
		return 0, err
	}
	first, err := look(ctx, conn, greeting.mark)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := look(ctx, conn, first.snapshot); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
