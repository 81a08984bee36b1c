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
	// would make the temporary schema, so nothing is resolved that names it.
	SearchPathSQL = "CASE WHEN pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.!~~*) '%pg_temp%' THEN pg_catalog.current_schemas(true) END"
	// TemporaryPrefix begins the names of the schemas that hold temporary objects.
	TemporaryPrefix = "pg_temp_"
)

// SQL reads settings as an array, NULL for what the server does not have. It is one
// expression: Postgres parses forty in ten times the time that it takes to evaluate
// them.
func SQL(names []string) string {
	return "ARRAY(SELECT pg_catalog.current_setting(pg_catalog.string_to_table('" + strings.Join(names, ",") + "', ','), true))"
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
