package invalidation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

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
