package servers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Execute runs SQL, one statement or several, as the superuser on a connection of its own.
func (p *Postgres) Execute(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, p.DSN(database))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("run statements on PostgreSQL: %w", err)
	}
	return nil
}
