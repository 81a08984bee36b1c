package invalidation

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// followerRights are what looks, greetings, audits and trimming need of our tables,
// and of the sequence, for which the same words do.
// The functions that they call may be called by everybody, but for statisticsFunction.
var followerRights = []struct{ table, rights string }{
	{"distrusted", "SELECT, INSERT, UPDATE, DELETE"},
	{"fingerprint", "SELECT, INSERT, UPDATE"},
	{"incarnation", "SELECT, INSERT"},
	{"incarnation_logged", "SELECT, INSERT, UPDATE"},
	{"outbox", "SELECT, INSERT, DELETE"},
	{"trim", "SELECT, INSERT, UPDATE"},
	{"given_up", "SELECT, UPDATE"},
}

// statisticsSQL makes statisticsFunction.
//
//go:embed schema/statistics.sql
var statisticsSQL string

// statisticsFunction tells the analysis of statements how many values columns have.
const statisticsFunction = "freshet.statistics(oid[])"

// rightsNeeded are followerRights as two lists, for a question to Postgres.
func rightsNeeded() (tables, rights []string) {
	for _, r := range followerRights {
		tables, rights = append(tables, r.table), append(rights, r.rights)
	}
	return tables, rights
}

// followersSQL lists the roles that were given the rights of followers: those that
// may write to a table of ours and do not own it. Whoever was given them keeps them
// when tables are made anew, or get others beside them.
const followersSQL = `SELECT DISTINCT r.rolname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = 'freshet' AND c.relkind = 'r' AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner
ORDER BY 1`

// readFollowers returns the roles that have or are to get the rights of followers.
func readFollowers(ctx context.Context, conn *pgx.Conn, asked []string) ([]string, error) {
	var unknown []string
	err := conn.QueryRow(ctx, `SELECT array_agg(a ORDER BY a) FROM unnest($1::text[]) a WHERE a NOT IN (SELECT rolname FROM pg_roles)`, asked).Scan(&unknown)
	if err != nil {
		return nil, fmt.Errorf("find the roles of followers: %w", err)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("grant rights to a follower: there is no role %q; create it first (CREATE ROLE … LOGIN)", unknown[0])
	}
	rows, err := conn.Query(ctx, followersSQL)
	if err != nil {
		return nil, fmt.Errorf("list the roles of followers: %w", err)
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the roles of followers: %w", err)
	}
	for _, role := range asked {
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles, nil
}

// lackRights reports whether some role lacks something of what grantSQL gives.
func lackRights(ctx context.Context, conn *pgx.Conn, roles []string) (lacking bool, err error) {
	tables, rights := rightsNeeded()
	err = conn.QueryRow(ctx, `SELECT EXISTS (
		SELECT FROM unnest($2::text[], $3::text[]) AS need(name, rights)
		CROSS JOIN LATERAL string_to_table(need.rights, ', ') AS one
		CROSS JOIN unnest($1::text[]) AS role
		JOIN pg_class c ON c.relname = need.name JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'freshet'
		WHERE NOT has_table_privilege(role, c.oid, one))
		OR EXISTS (SELECT FROM unnest($1::text[]) AS role WHERE NOT has_function_privilege(role, to_regprocedure($4), 'EXECUTE'))`,
		roles, tables, rights, statisticsFunction).Scan(&lacking)
	if err != nil {
		return false, fmt.Errorf("ask for the rights of followers: %w", err)
	}
	return lacking, nil
}

// grantSQL gives roles what following needs in our schema. It is no more than its
// owner could be asked for one by one: the tables stay closed to everybody else.
func grantSQL(roles []string) string {
	var b strings.Builder
	for _, role := range roles {
		for _, r := range followerRights {
			fmt.Fprintf(&b, "GRANT %s ON freshet.%s TO %s;\n", r.rights, r.table, identifier(role))
		}
		fmt.Fprintf(&b, "GRANT EXECUTE ON FUNCTION %s TO %s;\n", statisticsFunction, identifier(role))
	}
	return b.String()
}

// grantLookupSQL lets roles resolve the names of tables in the schemas, as the
// analysis of statements does, and keep the statements that it analyses out of the
// server's log. Only what is missing is given, as other sessions may be granting
// on the same schema at that moment; pg_namespace is locked for ours, or theirs
// would fail, with "tuple concurrently updated", when both change one row. Who may
// not give it does without.
func grantLookupSQL(roles, schemas []string) string {
	quote := func(names []string) string {
		quoted := make([]string, len(names))
		for i, name := range names {
			quoted[i] = literal(name)
		}
		return "ARRAY[" + strings.Join(quoted, ", ") + "]::text[]"
	}
	return fmt.Sprintf(`DO $freshet$
DECLARE
	missing record;
BEGIN
	FOR missing IN
		SELECT r AS role, n.nspname AS schema
		FROM unnest(%[1]s) r CROSS JOIN unnest(%[2]s) s JOIN pg_namespace n ON n.nspname = s
		WHERE NOT has_schema_privilege(r, n.oid, 'USAGE')
	LOOP
		BEGIN
			LOCK TABLE pg_catalog.pg_namespace IN SHARE MODE;
		EXCEPTION WHEN insufficient_privilege THEN
			NULL; -- an owner who is no superuser grants as everybody does
		END;
		BEGIN
			EXECUTE format('GRANT USAGE ON SCHEMA %%I TO %%I', missing.schema, missing.role);
		EXCEPTION WHEN insufficient_privilege THEN
			RAISE WARNING 'no right to let role %% use schema %%', missing.role, missing.schema;
		END;
	END LOOP;
	IF current_setting('server_version_num')::int < 150000 THEN
		RETURN;
	END IF;
	FOR missing IN EXECUTE 'SELECT r AS role FROM unnest($1) r WHERE NOT has_parameter_privilege(r, ''log_min_messages'', ''SET'')'
		USING %[1]s
	LOOP
		BEGIN
			EXECUTE format('GRANT SET ON PARAMETER log_min_messages TO %%I', missing.role);
		EXCEPTION WHEN insufficient_privilege THEN
			NULL;
		END;
	END LOOP;
END
$freshet$;
`, quote(roles), quote(schemas))
}
