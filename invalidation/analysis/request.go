package analysis

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// NewRequest asks about a statement as a new session of a role sends it to a sidecar; an empty role is
// conn's. conn is a session that has set nothing.
func NewRequest(ctx context.Context, conn *pgx.Conn, sql, role string) (Request, error) {
	r := Request{SQL: sql, Keyed: true}
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_schemas(true)::pg_catalog.text[]").Scan(&r.SearchPath); err != nil {
		return r, fmt.Errorf("read the search path: %w", err)
	}
	const find = "SELECT oid FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) coalesce(nullif($1::pg_catalog.text, ''), CURRENT_USER)"
	err := conn.QueryRow(ctx, find, role).Scan(&r.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("find role %s: there is none of this name", role)
	}
	if err != nil {
		return r, fmt.Errorf("find the role: %w", err)
	}
	return r, nil
}
