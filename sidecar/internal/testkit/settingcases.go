package testkit

import "strings"

// settingsSchema has a {role} in it.
const settingsSchema = `
CREATE TABLE kind (id int PRIMARY KEY, d date, ts timestamptz, i interval, f float8, m money, b bytea, n int, k text);
INSERT INTO kind VALUES (1, '2024-01-02', '2024-01-02 00:00+00', '1 day 2:03:04', 0.1::float8 * 3, 1.5, '\xff00', NULL, E'a\\b'), (2, NULL, NULL, NULL, NULL, NULL, NULL, 1, 'grüße');
CREATE VIEW seen AS SELECT id FROM kind;
CREATE TABLE owned (id int PRIMARY KEY);
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE ROLE {role};
GRANT SELECT ON owned TO {role};`

// SettingsSchema is the schema that SettingCases are about. It makes the role.
func SettingsSchema(role string) string { return strings.ReplaceAll(settingsSchema, "{role}", role) }

// SettingCase is a statement that is answered otherwise, or with other messages, if a
// setting has one value than if it has another.
type SettingCase struct{ Setting, One, Other, SQL string }

// Set is the SQL that gives the setting a value, in a database of SettingsSchema.
func (c SettingCase) Set(value, role string) string {
	return strings.ReplaceAll("SET "+c.Setting+" = "+value, "{role}", role)
}

// SettingCases has one for each setting that can show.
var SettingCases = []SettingCase{
	{"array_nulls", "off", "on", "SELECT id, '{NULL}'::text[] FROM kind ORDER BY id"},
	{"backslash_quote", "on", "off", `SELECT id, E'\'' FROM kind ORDER BY id`},
	{"bytea_output", "escape", "hex", "SELECT b FROM kind ORDER BY id"},
	{"client_encoding", "LATIN1", "UTF8", "SELECT k FROM kind WHERE id = 2"},
	{"client_min_messages", "warning", "notice", "SELECT id AS a_name_that_is_longer_than_any_name_that_Postgres_takes_without_cutting_it FROM kind ORDER BY id"},
	{"client_min_messages", "log; SET log_statement = 'all'", "notice; RESET log_statement", "SELECT id FROM kind ORDER BY id"},
	{"client_min_messages", "debug1; SET debug_print_parse = on", "error; RESET debug_print_parse", "SELECT id, n FROM kind ORDER BY id"},
	{"DateStyle", "German", "'SQL, DMY'", "SELECT d FROM kind ORDER BY id"},
	{"default_text_search_config", "'pg_catalog.english'", "'pg_catalog.simple'", "SELECT id, to_tsvector('the cats') FROM kind ORDER BY id"},
	{"escape_string_warning", "off; SET standard_conforming_strings = off", "on; SET standard_conforming_strings = off", `SELECT id, 'a\\b' FROM kind ORDER BY id`},
	{"extra_float_digits", "0", "1", "SELECT f FROM kind ORDER BY id"},
	{"IntervalStyle", "iso_8601", "sql_standard", "SELECT i FROM kind ORDER BY id"},
	{"quote_all_identifiers", "on", "off", "SELECT quote_ident(k) FROM kind ORDER BY id"},
	{"restrict_nonsystem_relation_kind", "view", "''", "SELECT id FROM seen ORDER BY id"},
	{"row_security", "off; SET ROLE {role}", "on; SET ROLE {role}", "SELECT id FROM owned"},
	{"search_path", "pg_catalog, public", "public", "SELECT current_schema FROM public.kind"},
	{"search_path", "notme", "pg_catalog", "SELECT current_schema, id FROM public.kind"},
	{"search_path", "notme", "public, pg_catalog", "SELECT current_schema() || 'x', id FROM public.kind"},
	{"search_path", "pg_catalog, public", "public", "SELECT current_schemas(false) FROM public.kind"},
	{"search_path", "public, pg_catalog", "public", "SELECT current_schemas(false), id FROM public.kind"},
	{"search_path", "public, pg_catalog", "public", "SELECT current_schemas(true), id FROM public.kind"},
	{"search_path", "'PG_CATALOG', public", "public", "SELECT current_schemas(false), n FROM public.kind ORDER BY id"},
	{"standard_conforming_strings", "off", "on", `SELECT id, 'a\\b' FROM kind ORDER BY id`},
	{"TimeZone", "'Asia/Tokyo'", "'UTC'", "SELECT ts FROM kind ORDER BY id"},
	{"timezone_abbreviations", "'India'", "'Default'", "SELECT id, '2024-01-02 00:00 IST'::timestamptz FROM kind ORDER BY id"},
	{"transform_null_equals", "on", "off", "SELECT id FROM kind WHERE n = NULL"},
	{"xmlbinary", "hex", "base64", "SELECT id, xmlelement(NAME b, b) FROM kind ORDER BY id"},
	{"xmloption", "document", "content", "SELECT id, 'text'::xml FROM kind ORDER BY id"},
}
