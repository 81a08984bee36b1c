package invalidation

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// restSQL sums up what no event trigger reports and what any answer may depend on: the
// database's owner and rights, owners of tables and views (REASSIGN OWNED), the
// configuration. Settings by role and database are not among it: they are given to sessions
// that begin later, each of which asks for its own.
const restSQL = `md5(concat_ws('/',
	` + databaseSQL + `,
	(SELECT string_agg(concat_ws(' ', o.objid, o.refobjid, o.xmin), ',' ORDER BY o.objid)
		FROM pg_shdepend o JOIN pg_class c ON c.oid = o.objid AND c.relkind IN ('r', 'p', 'v') AND c.relpersistence <> 't'
		WHERE o.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		AND o.classid = 'pg_class'::regclass AND o.deptype = 'o'),
	(SELECT string_agg(g.name || '=' || g.setting, ',' ORDER BY g.name) FROM pg_settings g WHERE g.source = 'configuration file')))`

const databaseSQL = `(SELECT concat_ws(' ', d.xmin, d.datdba, d.datacl) FROM pg_database d WHERE d.datname = current_database())`

// rolesSQL reads what counts of roles: their names and what they are exempt from, but no
// password and no limit.
const rolesSQL = `(SELECT string_agg(concat_ws(' ', r.oid, md5(concat_ws(' ', r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls))), ',' ORDER BY r.oid) FROM pg_roles r)`

// membersSQL reads who is a member of which role, in rows that have versions. Memberships
// that only let somebody give a role to others, as who made it may since version 16, are
// giversSQL's: that there is one more or less changes nothing, but one may have been more
// for a moment, and has another version then.
const (
	membersSQL = `(SELECT string_agg(concat_ws(' ', m.member, m.roleid, m.grantor, m.xmin, md5(m::text)), ',' ORDER BY m.member, m.roleid, m.grantor) FROM pg_auth_members m WHERE ` + effectiveSQL + `)`
	giversSQL  = `(SELECT string_agg(concat_ws(' ', m.member, m.roleid, m.grantor, m.xmin), ',' ORDER BY m.member, m.roleid, m.grantor) FROM pg_auth_members m WHERE NOT ` + effectiveSQL + `)`

	effectiveSQL = `'true' IN (coalesce(to_jsonb(m) ->> 'inherit_option', 'true'), coalesce(to_jsonb(m) ->> 'set_option', 'true'))`
)

// rolesVersionedSQL asks whether the versions of roles count, and may be read, and
// roleVersionsSQL reads them. They count where there is row security:
//
//  1. a role is given BYPASSRLS;
//  2. a read of the role is analysed, and loaded: it shows the rows of everybody;
//  3. BYPASSRLS is taken away again;
//  4. what the roles have is compared, and is what it was before 1: nobody would
//     ever end what was loaded at 2.
//
// A row's version is another after each change. Who may not read them must not rely
// on what can change there; the analysis does not. (TestRolesChangedAndChangedBack)
const (
	rolesVersionedSQL = `SELECT has_table_privilege('pg_authid', 'SELECT') AND EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity)`
	roleVersionsSQL   = `SELECT coalesce(string_agg(a.oid || ' ' || a.xmin, ',' ORDER BY a.oid), '') FROM pg_authid a`
)

// A membership that is given and taken away again leaves no row behind:
//
//  1. a role is granted the role that owns a table, whom row security spares;
//  2. a read of the role is loaded, and shows the rows of everybody;
//  3. the role is revoked again;
//  4. the memberships are compared, and are what they were before 1.
//
// Postgres' statistics have counted what was inserted and deleted. They come late: as a rule
// within a second, ten seconds behind a command that followed another, later where the
// session goes on with a long transaction. So what 2 has loaded is ended then, and no sooner.
// The same count tells of attributes given and taken, to who may not read their versions.
// (TestRolesChangedAndChangedBack)
const roleCountsSQL = `(SELECT concat_ws(' ', pg_stat_get_tuples_inserted(m.oid), pg_stat_get_tuples_deleted(m.oid), CASE WHEN NOT has_table_privilege('pg_authid', 'SELECT') THEN pg_stat_get_tuples_updated(a.oid) END)
	FROM pg_class m, pg_class a WHERE m.oid = 'pg_auth_members'::regclass AND a.oid = 'pg_authid'::regclass AND EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity))`

// unreportedSQL makes an event of what was none: a reload of the configuration, which
// changes a file and uses no transaction id, or a change of definitions that nobody
// reported. Without one a head after it may be equal to one before it was known.
const unreportedSQL = `INSERT INTO freshet.outbox (tags) VALUES (ARRAY[$1])`

// audit is what events may fail to report, read anew.
type audit struct {
	catalog string
	at      fence.Snapshot // when catalog was so
	silent  silent
	// roles are the OIDs of those that there were, as in silent; set by the looker, for
	// Follower.KnowsRole.
	roles map[uint32]bool
}

// same reports whether two audits found the same.
func (a *audit) same(b *audit) bool { return a.catalog == b.catalog && a.silent.sum == b.silent.sum }

func readAudit(ctx context.Context, conn *pgx.Conn) (*audit, error) {
	a := &audit{}
	var err error
	if a.silent, err = readSilent(ctx, conn); err != nil {
		return nil, fmt.Errorf("read roles and settings: %w", err)
	}
	a.catalog, a.at, err = readCatalog(ctx, conn)
	return a, err
}

// readRoleVersions returns "" where they do not count or may not be read.
func readRoleVersions(ctx context.Context, conn *pgx.Conn) (versions string, err error) {
	var versioned bool
	if err := conn.QueryRow(ctx, rolesVersionedSQL).Scan(&versioned); err != nil {
		return "", fmt.Errorf("ask whether roles have versions: %w", err)
	}
	if versioned {
		if err := conn.QueryRow(ctx, roleVersionsSQL).Scan(&versions); err != nil {
			return "", fmt.Errorf("read the versions of roles: %w", err)
		}
	}
	return versions, nil
}
