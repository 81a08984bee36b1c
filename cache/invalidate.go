package cache

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Execer runs a statement: a pool, a connection or a transaction of pgx.
type Execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// Invalidate ends, in every process, the answers that depend on a Tag of one of the
// names. In a transaction it does so when that commits, and then Wrote has to be
// called after the commit; otherwise it tells the session of ctx.
func Invalidate(ctx context.Context, db Execer, names ...string) error {
	_, err := db.Exec(ctx, "SELECT freshet.touch(VARIADIC $1)", names)
	Wrote(ctx, nil)
	if err != nil {
		return fmt.Errorf("invalidate %q: %w", names, err)
	}
	return nil
}
