package invalidation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ServerStats is what the keeper reads of the server when it trims, for people.
type ServerStats struct {
	// Version is the server's, Role is who follows, and Superuser whether it is one. All is
	// empty before the first time.
	Version   string
	Role      string
	Superuser bool
	// Owner owns what is installed.
	Owner string
	// Missing are the rights that the role lacks to follow, such as "SELECT on
	// freshet.trim".
	Missing []string
	// Publications are those FOR ALL TABLES, which contain our tables.
	Publications []string
	// Pooler is set if a pooler is between: writers do not ring then.
	Pooler bool
	// Replicas counts the servers that replicate this one.
	Replicas int
}

const serverSQL = `SELECT current_setting('server_version'), current_user::text, (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
	coalesce((SELECT r.rolname::text FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner WHERE n.nspname = 'freshet'), ''),
	pg_backend_pid(), (SELECT count(*)::int FROM pg_catalog.pg_stat_replication),
	ARRAY(SELECT p.pubname::text FROM pg_catalog.pg_publication p WHERE p.puballtables ORDER BY 1),
	ARRAY(` + missingSQL + `)`

// readServer notes what the server is, in one question.
func (c *counters) readServer(ctx context.Context, conn *pgx.Conn) error {
	var s ServerStats
	var pid uint32
	tables, rights := rightsNeeded()
	err := conn.QueryRow(ctx, serverSQL, tables, rights).Scan(&s.Version, &s.Role, &s.Superuser, &s.Owner, &pid, &s.Replicas, &s.Publications, &s.Missing)
	if err != nil {
		return fmt.Errorf("ask the server what it is: %w", err)
	}
	s.Pooler = pid != conn.PgConn().PID()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = s
	return nil
}
