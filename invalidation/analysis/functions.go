package analysis

// function is what pg_proc says about one.
type function struct {
	schema, name string
	volatility   string // i, s or v
	// open is set if it takes or returns a type that only its call tells: anyelement
	// and its kin, a record, "any".
	open bool
	// configured is set if it takes a text search configuration.
	configured bool
	// columns are the types of all arguments, in and out, of a user's function that
	// has some to return.
	columns []uint32
	// arguments are the names of the types of a user's function's arguments, without schemas.
	arguments string
	// extension is the one that made a function in C, empty otherwise.
	extension string
}

// pureStable lists the STABLE functions of pg_catalog, every overload of each,
// whose result depends on nothing but arguments and settings that belong in a
// cache key: TimeZone, DateStyle, IntervalStyle, lc_*, extra_float_digits,
// bytea_output, standard_conforming_strings, default_text_search_config, the
// resolved search_path, the role, the database; or on names of what the call itself
// tells, which only definitions change (pg_typeof, pg_collation_for). Missing on purpose: everything
// that reads the clock (now, age, timezone and timetz with their current zone
// offsets), a catalog (to_reg*, has_*, pg_get_*), dates from text at run time
// (json_populate_record, json_to_record and their kin), or the session's temporary
// schema, be it empty (current_schemas).
var pureStable = newSet(
	"array_to_json", "array_to_string", "anytextcat", "textanycat",
	"concat", "concat_ws", "format", "quote_literal", "quote_nullable",
	"convert", "convert_from", "convert_to", "length",
	"current_database", "current_schema", "current_user", "session_user",
	"getdatabaseencoding", "version", "pg_char_to_encoding", "pg_client_encoding", "pg_encoding_to_char",
	"pg_collation_for", "pg_typeof",
	"date", "date_part", "date_trunc", "extract", "time", "timestamp", "timestamptz",
	"date_add", "date_subtract", "generate_series", "in_range", "make_timestamptz", "overlaps",
	"date_cmp_timestamptz", "date_eq_timestamptz", "date_ge_timestamptz", "date_gt_timestamptz",
	"date_le_timestamptz", "date_lt_timestamptz", "date_ne_timestamptz",
	"timestamp_cmp_timestamptz", "timestamp_eq_timestamptz", "timestamp_ge_timestamptz",
	"timestamp_gt_timestamptz", "timestamp_le_timestamptz", "timestamp_lt_timestamptz",
	"timestamp_ne_timestamptz",
	"timestamptz_cmp_date", "timestamptz_eq_date", "timestamptz_ge_date", "timestamptz_gt_date",
	"timestamptz_le_date", "timestamptz_lt_date", "timestamptz_ne_date",
	"timestamptz_cmp_timestamp", "timestamptz_eq_timestamp", "timestamptz_ge_timestamp",
	"timestamptz_gt_timestamp", "timestamptz_le_timestamp", "timestamptz_lt_timestamp",
	"timestamptz_ne_timestamp",
	"interval_pl_timestamptz", "timestamptz_mi_interval", "timestamptz_pl_interval",
	"enum_first", "enum_last", "enum_range",
	"json_agg", "json_agg_strict", "json_build_array", "json_build_object", "json_object_agg",
	"json_object_agg_strict", "json_object_agg_unique", "json_object_agg_unique_strict",
	"jsonb_agg", "jsonb_agg_strict", "jsonb_build_array", "jsonb_build_object", "jsonb_object_agg",
	"jsonb_object_agg_strict", "jsonb_object_agg_unique", "jsonb_object_agg_unique_strict",
	"row_to_json", "to_json", "to_jsonb",
	"money", "numeric", "to_char", "to_date", "to_number", "to_timestamp",
	"get_current_ts_config", "json_to_tsvector", "jsonb_to_tsvector", "to_tsvector",
	"to_tsquery", "plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery",
)

// functionTypeof is the OID of pg_typeof.
const functionTypeof = 1619

var clockFunctions = newSet("now", "transaction_timestamp", "statement_timestamp", "clock_timestamp",
	"timeofday", "age", "timezone", "timetz")

var sequenceFunctions = newSet("nextval", "currval", "setval", "lastval")

func newSet(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// judge refuses a function whose answer may change while the tables do not. It
// goes by what the OID resolved to, never by the name in the statement.
func (f *function) judge(oid uint32) *refusal {
	switch {
	case f.reviewed():
		return nil
	case oid >= firstUserOID || f.schema != "pg_catalog":
		return refuse(ReasonUserFunction, f.schema+"."+f.name)
	case f.volatility == "i":
		return nil
	case sequenceFunctions[f.name]:
		return refuse(ReasonSequence, f.name)
	case f.name == "current_setting" || f.name == "set_config":
		return refuse(ReasonSettingDependent, f.name)
	case clockFunctions[f.name]:
		return refuse(ReasonClock, f.name)
	case f.volatility != "s":
		return refuse(ReasonVolatileFunction, f.name)
	case !pureStable[f.name]:
		return refuse(ReasonStableFunction, f.name)
	}
	return nil
}
