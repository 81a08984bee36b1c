package settings

import "strings"

// What sessions are asked for is qualified, as the search path is the client's, and
// of Postgres' own: a function in PL/pgSQL would load that language into the session,
// which then refuses settings that it took before.

const (
	// RoleSQL is the OID of the current role, as a name may be another role's tomorrow.
	RoleSQL = "pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole::pg_catalog.oid"
	// SecuredSQL is that, and behind it whether row security applies to the role
	// anywhere, which costs as much as all the rest.
	SecuredSQL = "(SELECT pg_catalog.concat(r.oid, ' ', r.rolsuper OR r.rolbypassrls) FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER)"
	// SearchPathSQL resolves the search path. Where pg_temp comes first in it, that
	// would make the temporary schema, so nothing is resolved that names it. A session
	// keeps its temporary schema for life: one that is empty hides nothing, and is left
	// out.
	SearchPathSQL = "CASE WHEN pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.!~~*) '%pg_temp%' THEN" +
		" CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0 OR " + temporaryObjectsSQL + " THEN pg_catalog.current_schemas(true)" +
		" ELSE pg_catalog.array_remove(pg_catalog.current_schemas(true), pg_catalog.pg_my_temp_schema()::pg_catalog.regnamespace::pg_catalog.name) END END"
	// temporaryObjectsSQL tells whether the temporary schema holds anything: everything
	// in it depends on it, for it is emptied by that. As a text, the query is parsed and
	// planned by nobody but sessions that have such a schema; as a subquery it would
	// cost all others twice what the rest does.
	temporaryObjectsSQL = "pg_catalog.query_to_xml('SELECT 1 AS one FROM pg_catalog.pg_depend d" +
		" WHERE d.refclassid OPERATOR(pg_catalog.=) ''pg_catalog.pg_namespace''::pg_catalog.regclass" +
		" AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() LIMIT 1', false, true, '')::pg_catalog.text OPERATOR(pg_catalog.<>) ''"
	// TemporaryPrefix begins the names of the schemas that hold temporary objects.
	TemporaryPrefix = "pg_temp_"
)

// SQL reads settings as an array, NULL for what the server does not have. It is one
// expression: Postgres parses forty in ten times the time that it takes to evaluate
// them.
func SQL(names []string) string {
	return "ARRAY(SELECT pg_catalog.current_setting(pg_catalog.string_to_table('" + strings.Join(names, ",") + "', ','), true))"
}

// QuotedSQL reads settings as one text: each quoted as a literal, NULL for what the server
// does not have, with a blank between two. No other values give the same text.
func QuotedSQL(names []string) string {
	return "(SELECT pg_catalog.string_agg(pg_catalog.quote_nullable(s.v), ' ') FROM (SELECT pg_catalog.current_setting(pg_catalog.string_to_table('" +
		strings.Join(names, ",") + "', ','), true)) s(v))"
}

// PreparedQuotedSQL says what QuotedSQL says, for a statement that is prepared: Postgres
// parses it in ten times the time, and evaluates it in half of it.
func PreparedQuotedSQL(names []string) string {
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = "pg_catalog.current_setting('" + name + "', true)"
	}
	return QuotedListSQL(values...)
}

// QuotedListSQL is values as one text, in the form of QuotedSQL.
func QuotedListSQL(values ...string) string {
	form := strings.TrimSuffix(strings.Repeat("%L ", len(values)), " ")
	return "pg_catalog.format('" + form + "', " + strings.Join(values, ", ") + ")"
}

// StartSQL reads AtStart as an array.
func StartSQL() string {
	var values []string
	for _, s := range startConditions {
		if s.value != "" {
			values = append(values, s.value)
		} else {
			values = append(values, "pg_catalog.current_setting('"+s.name+"', true)")
		}
	}
	return "ARRAY[" + strings.Join(values, ", ") + "]"
}
