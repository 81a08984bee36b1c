package analysis

import (
	"maps"
	"slices"
)

// Reason names why a statement may not be cached. The strings are stable: the
// dashboard, the metrics and `freshet explain` show them. The empty Reason
// belongs to a cacheable verdict.
type Reason string

// The reasons, each explained by [Reason.Advice].
const (
	ReasonNotSelect          Reason = "not_select"
	ReasonMultipleStatements Reason = "multiple_statements"
	ReasonSQLError           Reason = "sql_error"
	ReasonTooComplex         Reason = "too_complex"
	ReasonUnknownNode        Reason = "unknown_node"
	ReasonUnsupportedServer  Reason = "unsupported_server"
	ReasonSettingDependent   Reason = "setting_dependent"

	ReasonVolatileFunction Reason = "volatile_function"
	ReasonStableFunction   Reason = "stable_function"
	ReasonUserFunction     Reason = "user_function"
	ReasonClock            Reason = "clock"
	ReasonClockLiteral     Reason = "clock_literal"
	ReasonSequence         Reason = "sequence"

	ReasonRowLocks         Reason = "row_locks"
	ReasonDataModifyingCTE Reason = "data_modifying_cte"
	ReasonTableSample      Reason = "tablesample"
	ReasonSystemColumn     Reason = "system_column"

	ReasonUnwatchedTable   Reason = "unwatched_table"
	ReasonRowSecurity      Reason = "row_security"
	ReasonTemporaryTable   Reason = "temporary_table"
	ReasonForeignTable     Reason = "foreign_table"
	ReasonCatalogTable     Reason = "catalog_table"
	ReasonMaterializedView Reason = "materialized_view"

	ReasonUnsafeCast       Reason = "unsafe_cast"
	ReasonUnsafeResultType Reason = "unsafe_result_type"
)

var advice = map[Reason]string{
	ReasonNotSelect:          "Only SELECT, VALUES and TABLE are cached; nothing to do.",
	ReasonMultipleStatements: "Send one statement at a time.",
	ReasonSQLError:           "The server refused the statement; errors are never cached.",
	ReasonTooComplex:         "The statement exceeds a limit of the analysis; split it, or read it through a view.",
	ReasonUnknownNode:        "The statement uses a construct the analysis does not know yet; rewrite it without, or report it.",
	ReasonUnsupportedServer:  "Use a supported PostgreSQL version with a UTF8 database, and a UTF8 client_encoding.",
	ReasonSettingDependent:   "Pass the setting's value as a parameter, or name one of the application's own as a constant: current_setting('app.tenant', true).",
	ReasonVolatileFunction:   "The function may give another answer at each call; compute its value in the application.",
	ReasonStableFunction:     "The function's answer depends on more than its arguments and the tables; compute it in the application.",
	ReasonUserFunction:       "What a user-defined function reads cannot be seen, nor that of a cast, an operator class or a dictionary which a function of Postgres finds at run time: declare it with --function if it changes nothing, inline its query, or use a view.",
	ReasonClock:              "Pass the time as a parameter, rounded as coarsely as the page allows.",
	ReasonClockLiteral:       "Write a date instead of now, today, tomorrow or yesterday.",
	ReasonSequence:           "Sequences change without telling; they are never cached.",
	ReasonRowLocks:           "FOR UPDATE and FOR SHARE must reach the server; drop the lock if the read does not need it.",
	ReasonDataModifyingCTE:   "The statement writes; nothing to do.",
	ReasonTableSample:        "Samples are random; nothing to do.",
	ReasonSystemColumn:       "Select ordinary columns; ctid, xmin, tableoid and their kin change without telling.",
	ReasonUnwatchedTable:     "Watch the table: freshet install --watch.",
	ReasonRowSecurity:        "Row security filters what the role reads, and a change of the role could go unnoticed: let the upstream's role read pg_authid, or say --steady-roles. Or a policy is too deep, or the statement is read through a replica. What the role is spared, and filtered by policies that are understood, is cached. freshet explain --role tells for each.",
	ReasonTemporaryTable:     "Temporary objects belong to one session, and what depends on one, as a column of a type in pg_temp, goes with it and no event: make the type permanent.",
	ReasonForeignTable:       "Foreign tables change elsewhere; nothing to do.",
	ReasonCatalogTable:       "System catalogs change without triggers, but for what they say of Postgres' own types by their OIDs, and of schemas by name, where event triggers are installed; nothing to do.",
	ReasonMaterializedView:   "Query the tables behind the materialized view: cached, they cost as little.",
	ReasonUnsafeCast:         "The cast reads the clock or a catalog, or checks a domain, at run time; cast in the application, or store the right type.",
	ReasonUnsafeResultType:   "The type's text depends on a catalog, or on an extension that was not reviewed; cast it to a plain type in the table.",
}

// Reasons lists every reason, sorted, for metrics that start at zero.
func Reasons() []Reason { return slices.Sorted(maps.Keys(advice)) }

// Advice says in one line what a user can do about the reason; empty for a
// reason this package does not know.
func (r Reason) Advice() string { return advice[r] }

// refusal carries a reason up from the depth of a tree. It never leaves the
// package as an error: it becomes a Verdict.
type refusal struct {
	reason Reason
	detail string
	// said is what Postgres said, and may hold what stood in the statement.
	said string
	// consent is Verdict.Consent.
	consent *Verdict
}

func (r *refusal) Error() string { return string(r.reason) + ": " + r.detail }

func refuse(reason Reason, detail string) *refusal { return &refusal{reason: reason, detail: detail} }
