package invalidation

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// fingerprintSQL reads what no event trigger reports: roles, memberships,
// settings by role and database, the database's own rights, the configuration.
const fingerprintSQL = `SELECT md5(concat_ws('/',
	(SELECT string_agg(r::text, ',' ORDER BY r.oid) FROM pg_roles r),
	(SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members m),
	(SELECT string_agg(s::text, ',' ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting s
		WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))),
	(SELECT d.datacl::text FROM pg_database d WHERE d.datname = current_database()),
	(SELECT string_agg(g.name || '=' || g.setting, ',' ORDER BY g.name) FROM pg_settings g WHERE g.source = 'configuration file')))`

// recordSQL says with an event that the fingerprint is another than the one
// recorded. Roles see different parts of it, so each has a record of its own.
const recordSQL = `WITH changed AS (
	INSERT INTO freshet.fingerprint AS f (reader, value)
	SELECT r.oid, $1 FROM pg_roles r WHERE r.rolname = current_user
	ON CONFLICT (reader) DO UPDATE SET value = excluded.value WHERE f.value <> excluded.value
	RETURNING reader
)
INSERT INTO freshet.outbox (tags) SELECT ARRAY[$2] FROM changed`

// reloadedSQL makes a reload of the configuration an event. Changing a file uses
// no transaction id, so without one a head after it is equal to the head before.
const reloadedSQL = `INSERT INTO freshet.outbox (tags) VALUES (ARRAY[$1])`

// audit is what events may fail to report, read anew.
type audit struct {
	catalog     string
	at          fence.Snapshot // when catalog was so
	fingerprint string
}

// same reports whether two audits found the same.
func (a *audit) same(b *audit) bool { return a.catalog == b.catalog && a.fingerprint == b.fingerprint }

func readAudit(ctx context.Context, conn *pgx.Conn) (*audit, error) {
	a := &audit{}
	if err := conn.QueryRow(ctx, fingerprintSQL).Scan(&a.fingerprint); err != nil {
		return nil, fmt.Errorf("fingerprint roles and settings: %w", err)
	}
	var err error
	a.catalog, a.at, err = readCatalog(ctx, conn)
	return a, err
}

// recordFingerprint tells those who start later, if nobody told them yet.
func recordFingerprint(ctx context.Context, conn *pgx.Conn, fingerprint string) error {
	if _, err := conn.Exec(ctx, recordSQL, fingerprint, fence.SchemaText); err != nil {
		return fmt.Errorf("record the fingerprint of roles and settings: %w", explainMissing(err))
	}
	return nil
}
