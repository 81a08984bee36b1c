package invalidation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// An audit reads all that is installed, which takes a tenth of a second with a
// thousand tables. So it is made only where something may have changed since the
// last one, and that is asked in two steps:
//
//  1. Nothing in a catalog changes without a transaction that has an id. If the
//     snapshot is the very same, none has ended: nothing changed, whatever there is.
//     Only the configuration changes without, and has a time.
//  2. Else the versions of the rows are compared, of the catalogs that an audit
//     reads: a row that is made or changed gets a version above all others, so if
//     their number and sum are the same, they are the same.
//
// Both are read before the audit that they stand for: what changes meanwhile is
// another moment and other versions the next time. (TestAuditsOfNothing)

// momentSQL names the moment at which something was so.
const momentSQL = `SELECT concat_ws('/', pg_current_snapshot(), pg_conf_load_time())`

// versionsSQL sums up the versions of what an audit reads. age counts from the
// newest id down, of which age('3') tells, and says 2147483647 of rows as old as the
// cluster; ids that begin anew change the sum once. What belongs to temporary relations is left out, as an audit does.
const versionsSQL = `SELECT md5(concat_ws('/', pg_conf_load_time(), ` + rolesSQL + `, ` + membersSQL + `, ` + giversSQL + `,
	(SELECT string_agg(s::text, ',' ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting s
		WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))),
	` + databaseSQL + `,
	(SELECT concat_ws(' ', count(*), sum(age(c.xmin)) - count(*) * age('3'::xid)) FROM pg_class c
		WHERE c.relpersistence <> 't' AND age(c.xmin) < 2147483647),
	(SELECT concat_ws(' ', count(*), sum(age(a.xmin)) - count(*) * age('3'::xid)) FROM pg_attribute a
		WHERE age(a.xmin) < 2147483647 AND a.attrelid NOT IN (SELECT c.oid FROM pg_class c WHERE c.relpersistence = 't')),
	(SELECT concat_ws(' ', count(*), sum(age(t.xmin)) - count(*) * age('3'::xid)) FROM pg_trigger t),
	(SELECT concat_ws(' ', count(*), sum(age(i.xmin)) - count(*) * age('3'::xid)) FROM pg_inherits i),
	(SELECT concat_ws(' ', count(*), sum(age(p.xmin)) - count(*) * age('3'::xid)) FROM pg_proc p
		WHERE age(p.xmin) < 2147483647),
	(SELECT concat_ws(' ', count(*), sum(age(n.xmin)) - count(*) * age('3'::xid)) FROM pg_namespace n WHERE NOT starts_with(n.nspname::text, 'pg_')),
	(SELECT concat_ws(' ', count(*), sum(age(e.xmin)) - count(*) * age('3'::xid)) FROM pg_event_trigger e),
	(SELECT concat_ws(' ', count(*), sum(age(b.xmin)) - count(*) * age('3'::xid)) FROM pg_publication b),
	(SELECT concat_ws(' ', count(*), sum(age(d.xmin)) - count(*) * age('3'::xid)) FROM pg_depend d WHERE d.refclassid = 'pg_publication'::regclass),
	(SELECT concat_ws(' ', count(*), sum(age(s.xmin)) - count(*) * age('3'::xid)) FROM pg_subscription_rel s)))`

// verified is what was found when an audit last found what is known.
type verified struct {
	known            *audit
	moment, versions string
}

// spare reports whether an audit would find what is known, without making one. now
// is what to remember if an audit, which has to be made otherwise, does.
func (v verified) spare(ctx context.Context, conn *pgx.Conn, known *audit) (spared bool, now verified, err error) {
	now.known = known
	if err := conn.QueryRow(ctx, momentSQL).Scan(&now.moment); err != nil {
		return false, now, fmt.Errorf("ask what moment it is: %w", err)
	}
	if v.known == known && v.moment == now.moment {
		return true, v, nil
	}
	if now.versions, err = readVersions(ctx, conn); err != nil {
		return false, now, err
	}
	return v.known == known && v.versions == now.versions, now, nil
}

func readVersions(ctx context.Context, conn *pgx.Conn) (versions string, err error) {
	roles, err := readRoleVersions(ctx, conn)
	if err != nil {
		return "", err
	}
	if err := conn.QueryRow(ctx, versionsSQL).Scan(&versions); err != nil {
		return "", fmt.Errorf("read the versions of catalogs: %w", err)
	}
	return versions + roles, nil
}
