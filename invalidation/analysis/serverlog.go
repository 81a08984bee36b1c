package analysis

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Postgres writes the trees that it sends to a side session into its own log too,
// some kilobytes for each shape of statement, with the literals that stand in it. A
// session that logs nothing but panics is spared that; not every role may have one.

// serverLog tells the operator, once, that the role may not keep trees out of the
// server's log.
type serverLog struct {
	logger *slog.Logger
	once   sync.Once
}

// silence keeps the trees of a session out of the server's log, where the role may.
func (l *serverLog) silence(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SET log_min_messages = panic")
	if err == nil || conn.IsClosed() {
		return err
	}
	var level, role string
	var version int
	const ask = `SELECT current_setting('log_min_messages'), quote_ident(current_user), current_setting('server_version_num')::int`
	if err := conn.QueryRow(ctx, ask).Scan(&level, &role, &version); err != nil {
		return err
	}
	if level != "panic" && level != "fatal" {
		l.once.Do(func() {
			l.logger.Warn("Postgres writes the statements that are analysed into its log, literals included, once for each shape",
				"remedy", "as a superuser: "+silencingSQL(role, version))
		})
	}
	return nil
}

// silencingSQL lets a role, whose name is quoted, have a session that logs nothing.
func silencingSQL(role string, version int) string {
	if version >= 150000 {
		return fmt.Sprintf("GRANT SET ON PARAMETER log_min_messages TO %s", role)
	}
	return fmt.Sprintf("ALTER ROLE %s SET log_min_messages = panic", role)
}
