package invalidation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/connection"
)

// Uninstall removes everything that Install made: the triggers of every table,
// the event triggers, the schema freshet. Followers fail from then on. It
// removes one table's triggers at a time, waits for each lock as Install does,
// and returns an error if one cannot be had; then what is left is removed by
// calling it again. A cancelled ctx closes conn.
func Uninstall(ctx context.Context, conn *pgx.Conn) error {
	if err := connection.RefusePooling(ctx, conn); err != nil {
		return fmt.Errorf("inspect the connection: %w", err)
	}
	unlock, err := lockInstallers(ctx, conn, installWaitMax)
	if err != nil {
		return err
	}
	defer unlock()
	return uninstall(ctx, conn)
}

// uninstall is Uninstall under the installers' lock.
func uninstall(ctx context.Context, conn *pgx.Conn) error {
	tables, err := armedTables(ctx, conn)
	if err != nil {
		return err
	}
	// The event triggers go last, so that followers hear of the rest.
	for _, table := range tables {
		if err := runLocking(ctx, conn, dropTriggersSQL(table)); err != nil && sqlState(err) != "42P01" {
			return explainRights(fmt.Errorf("remove the triggers of %s: %w", table, err))
		}
	}
	if err := runLocking(ctx, conn, dropBaseSQL); err != nil {
		return explainRights(fmt.Errorf("remove the schema freshet: %w", err))
	}
	return nil
}

// UninstallTables removes the triggers of the watched tables that match one of the patterns,
// with those of their partitions and children, and returns the names of these tables. All
// else stays: nothing of the tables is answered from the cache from then on. None matching is
// no error. It waits for each lock as Install does. A cancelled ctx closes conn.
func UninstallTables(ctx context.Context, conn *pgx.Conn, patterns []string) (names []string, err error) {
	wanted, err := parsePatterns(patterns)
	if err != nil {
		return nil, err
	}
	if err := connection.RefusePooling(ctx, conn); err != nil {
		return nil, fmt.Errorf("inspect the connection: %w", err)
	}
	unlock, err := lockInstallers(ctx, conn, installWaitMax)
	if err != nil {
		return nil, err
	}
	defer unlock()
	tables, err := armedTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	all, err := readCandidates(ctx, conn)
	if err != nil {
		return nil, err
	}
	trees := treesOf(all, wanted, tables)
	for _, table := range trees {
		if err := runLocking(ctx, conn, dropTriggersSQL(table), releasedEventSQL(trees)); err != nil && sqlState(err) != "42P01" {
			return names, explainRights(fmt.Errorf("remove the triggers of %s: %w", table, err))
		}
		names = append(names, table.String())
	}
	if len(names) == 0 {
		return nil, nil
	}
	if err := runSteps(ctx, conn, dropUnusedSQL); err != nil {
		return names, fmt.Errorf("tidy up: %w", explainRights(err))
	}
	return names, nil
}

// releasedEventSQL writes the event of a change of definitions, for followers that no event
// trigger tells, and that tables are taken out on purpose. It names all that are: of a partition,
// triggers go with those of its parent, and others with its own.
func releasedEventSQL(tables []relationName) string {
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = literal(table.sql())
	}
	return fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT ARRAY['%s'] || array_agg('%s' || to_regclass(t.name)::oid) FROM unnest(ARRAY[%s]) AS t (name) WHERE to_regclass(t.name) IS NOT NULL",
		fence.SchemaText, releasedPrefix, strings.Join(names, ", "))
}

// treesOf are those of the tables that belong to a tree of which a member matches a pattern,
// in the order of their names.
func treesOf(all []candidate, patterns []pattern, tables []relationName) (found []relationName) {
	parents, byName := map[uint32][]uint32{}, map[relationName]uint32{}
	for _, r := range all {
		parents[r.OID], byName[r.name()] = r.Parents, r.OID
	}
	wanted := map[uint32]bool{}
	for _, table := range tables {
		if _, ok := match(patterns, table); ok {
			for _, root := range rootsOf(byName[table], parents) {
				wanted[root] = true
			}
		}
	}
	for _, table := range tables {
		if slices.ContainsFunc(rootsOf(byName[table], parents), func(root uint32) bool { return wanted[root] }) {
			found = append(found, table)
		}
	}
	slices.SortFunc(found, func(a, b relationName) int { return strings.Compare(a.String(), b.String()) })
	return found
}

const dropBaseSQL = `SET LOCAL client_min_messages = warning;
DROP EVENT TRIGGER IF EXISTS freshet_drop;
DROP EVENT TRIGGER IF EXISTS freshet_ddl_end;
DROP EVENT TRIGGER IF EXISTS freshet_ddl_start;
DROP SCHEMA IF EXISTS freshet CASCADE;`

func armedTables(ctx context.Context, conn *pgx.Conn) ([]relationName, error) {
	rows, err := conn.Query(ctx, `SELECT DISTINCT n.nspname::text, c.relname::text
		FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE starts_with(t.tgname::text, $1)`, triggerPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the watched tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relationName])
	if err != nil {
		return nil, fmt.Errorf("list the watched tables: %w", err)
	}
	return tables, nil
}

func dropTriggersSQL(table relationName) string {
	sql := "SET LOCAL client_min_messages = warning;\n"
	for _, t := range append(captureTriggers[:], rowTrigger) {
		sql += fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s;\n", t.name, table.sql())
	}
	return sql
}
