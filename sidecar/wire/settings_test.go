package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/invalidation/settings"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// TestAnalysisAppliesWhatChangesTexts: what the probe reads to hand it on is what the
// analysis takes.
func TestAnalysisAppliesWhatChangesTexts(t *testing.T) {
	t.Parallel()
	for _, name := range settings.ForParsing {
		if !analysis.Applies(name) {
			t.Errorf("the analysis does not apply %s", name)
		}
	}
	for _, name := range parseTimeSettings {
		if !slices.Contains(askedSettings, name) {
			t.Errorf("no probe asks for %s", name)
		}
	}
}

const settingsSchema = `
CREATE TABLE kind (id int PRIMARY KEY, d date, ts timestamptz, i interval, f float8, m money, b bytea, n int, k text);
INSERT INTO kind VALUES (1, '2024-01-02', '2024-01-02 00:00+00', '1 day 2:03:04', 0.1::float8 * 3, 1.5, '\xff00', NULL, E'a\\b'), (2, NULL, NULL, NULL, NULL, NULL, NULL, 1, 'grüße');
CREATE VIEW seen AS SELECT id FROM kind;
CREATE TABLE owned (id int PRIMARY KEY);
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE ROLE {role};
GRANT SELECT ON owned TO {role};`

// settingCases are statements that are answered otherwise, or with other messages,
// under one value than under another.
var settingCases = []struct{ setting, one, other, sql string }{
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

// settingsUnseen have no case there.
var settingsUnseen = map[string]string{
	"auto_explain.log_level": "its messages tell times", "gin_fuzzy_search_limit": "TestRandomIndexIsNobodyElses",
	"default_transaction_isolation": "shows only in a transaction", "session_replication_role": "rules for SELECT have no such condition",
	"lc_messages": "a server may have one locale alone", "lc_monetary": "so here", "lc_numeric": "and here", "lc_time": "and here",
	"ignore_checksum_failure": "no page is damaged", "zero_damaged_pages": "nor for this", "ignore_system_indexes": "nor is an index",
	"local_preload_libraries": "a connection begins with it", "session_preload_libraries": "and with this", "sepgsql.permissive": "needs SELinux",
}

// TestSettingCasesHaveOtherKeys: a session that is answered otherwise has another
// key, or passes through.
func TestSettingCasesHaveOtherKeys(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	role := "keys_" + pg.CreateDatabase(t)
	bed := newTestbedOn(t, pg, strings.ReplaceAll(settingsSchema, "{role}", role))
	bed.sidecar() // names the incarnation
	for _, c := range settingCases {
		conn := bed.connect(bed.postgres.DSN(bed.database))
		under := func(value string) *sessionState {
			t.Helper()
			if _, err := conn.PgConn().Exec(t.Context(), strings.ReplaceAll("SET "+c.setting+" = "+value, "{role}", role)).ReadAll(); err != nil {
				t.Fatal(err)
			}
			state := stateOf(t, conn, probeForm{server: true}, nil)
			if state == nil {
				t.Fatalf("with %s = %s the probe is not understood", c.setting, value)
			}
			return state
		}
		if one, other := under(c.one), under(c.other); one.id == other.id && one.reason == "" && other.reason == "" {
			t.Errorf("%s has the same key as %s and as %s", c.setting, c.one, c.other)
		}
	}
}

// TestSettingsThatChangeAnswers has sessions of two sidecars read under one value and
// then under the other, each what the other one has loaded.
func TestSettingsThatChangeAnswers(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	role := "settings_" + pg.CreateDatabase(t)
	bed := newTestbedOn(t, pg, strings.ReplaceAll(settingsSchema, "{role}", role))
	sides := []*side{bed.sidecar(), bed.sidecar()}
	for _, s := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(settings.Keyed, settings.Conditional, settings.AtStart, []string{"search_path"})))) {
		found := slices.ContainsFunc(settingCases, func(c struct{ setting, one, other, sql string }) bool { return c.setting == s })
		if _, unseen := settingsUnseen[s]; found == unseen {
			t.Errorf("%s has a case: %v", s, found)
		}
	}
	for i, c := range settingCases {
		t.Run(fmt.Sprint(c.setting, i), func(t *testing.T) {
			t.Parallel()
			set := func(value string) step {
				return query(strings.ReplaceAll("SET "+c.setting+" = "+value, "{role}", role))
			}
			var turns []turn
			play := func(session int, steps ...step) {
				for _, s := range steps {
					turns = append(turns, turn{session: session, step: s})
				}
			}
			// Whose analysis is not done yet would not be answered.
			simple, extended := query(c.sql), synced(msgParse("", c.sql), msgBind(""), msgDescribe('P', ""), msgExecute("", 0))
			play(0, set(c.one), simple, simple, simple, extended, extended, extended)
			play(1, set(c.other), simple, simple, simple, extended, extended, extended)
			play(2, set(c.one), simple, simple, extended, set(c.other), simple, simple, extended, extended)
			play(0, simple, extended, set(c.other), simple, extended, set(c.one), simple, extended)
			compareSessions(t, bed, sides, turns)
		})
	}
}

// TestRandomIndexIsNobodyElses: what a session reads by an index that gives a part of
// what it finds, others are not answered.
func TestRandomIndexIsNobodyElses(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, `
CREATE TABLE tagged (id int PRIMARY KEY, tags int[]);
INSERT INTO tagged SELECT i, ARRAY[1, i % 7] FROM generate_series(1, 3000) i;
CREATE INDEX ON tagged USING gin (tags);
ANALYZE tagged;`)
	s := bed.sidecar()
	random, usual := s.connect(), s.connect()
	mustExec(t, random, "SET gin_fuzzy_search_limit = 100; SET enable_seqscan = off")
	count := "SELECT count(*) FROM tagged WHERE tags @> '{1}'"
	for range 5 {
		mustExec(t, random, count)
	}
	for range 3 {
		var n int
		if err := usual.QueryRow(t.Context(), count).Scan(&n); err != nil || n != 3000 {
			t.Errorf("%d rows, %v", n, err)
		}
	}
	if s.Report().Bypasses[reasons.Setting] == 0 {
		t.Errorf("no read passed through for %s: %v", reasons.Setting, s.Report().Bypasses)
	}
}

// TestSessionWithALibraryPassesThrough: what a library hooks into, nobody can tell.
func TestSessionWithALibraryPassesThrough(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	loads, other := s.connect(), s.connect()
	s.warm(other)
	s.warm(loads)
	mustExec(t, loads, "LOAD 'auto_explain'")
	before := s.Report()
	for range 3 {
		if got := versionOf7(t, loads); got != 0 {
			t.Errorf("version %d", got)
		}
	}
	after := s.Report()
	if passed := after.Bypasses[reasons.Library] - before.Bypasses[reasons.Library]; passed != 3 {
		t.Errorf("%d of 3 reads passed through for %s: %v", passed, reasons.Library, after.Bypasses)
	}
	// Of a database's own, an ordinary role's session, too. This library is everywhere.
	bed.exec(fmt.Sprintf("CREATE ROLE %[1]s_reader LOGIN; GRANT SELECT ON item TO %[1]s_reader; ALTER DATABASE %[1]s SET session_preload_libraries = 'dict_snowball'", bed.database))
	preloaded := bed.connect(fmt.Sprintf("host=%s port=%d user=%s_reader dbname=%s", s.dir, testPort, bed.database, bed.database))
	servers.Eventually(t, "the reason", func() bool {
		versionOf7(t, preloaded)
		return s.Report().Bypasses[reasons.Library] > after.Bypasses[reasons.Library]
	})
	s.warm(other)
	hits := s.count(HitL1)
	if versionOf7(t, other); s.count(HitL1) != hits+1 {
		t.Error("another session is not answered any more")
	}
}
