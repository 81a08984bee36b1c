package block

import (
	"reflect"
	"testing"
)

func TestParseControl(t *testing.T) {
	t.Parallel()
	begin := Control{Kind: Begin, Tag: "BEGIN"}
	start := Control{Kind: Begin, Tag: "START TRANSACTION"}
	readOnly := Control{Kind: Begin, Tag: "BEGIN", ReadOnly: true}
	commit := Control{Kind: Commit, Tag: "COMMIT"}
	rollback := Control{Kind: Rollback, Tag: "ROLLBACK"}
	named := func(kind Kind, tag, name string) Control {
		return Control{Kind: kind, Tag: tag, Savepoint: name}
	}
	set := func(name, value string) Control {
		return Control{Kind: SetLocal, Tag: "SET", Settings: []Setting{{Name: name, Value: value}}}
	}
	written := func(name, value string) Control {
		return Control{Kind: SetLocal, Tag: "SET", Settings: []Setting{{Name: name, Value: value, Written: true}}}
	}
	config := func(columns []string, settings ...Setting) Control {
		c := Control{Kind: SetLocal, Tag: "SELECT 1", Settings: settings, Columns: columns}
		for _, s := range settings {
			c.Params = max(c.Params, s.NameParam, s.ValueParam)
		}
		return c
	}
	one := []string{"set_config"}
	for text, want := range map[string]Control{
		"BEGIN": begin, "begin": begin, " Begin ;": begin, "BEGIN;": begin, "BEGIN;;\n": begin, "BEGIN WORK": begin,
		"BEGIN\tTRANSACTION": begin, "START TRANSACTION": start, "BEGIN ISOLATION LEVEL READ COMMITTED;": begin,
		"BEGIN READ ONLY": readOnly, "BEGIN READ WRITE": begin, "BEGIN READ ONLY, READ WRITE": begin,
		"BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY": readOnly, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE": readOnly,
		"COMMIT": commit, "END": commit, "END TRANSACTION;": commit, "COMMIT WORK": commit, "COMMIT AND NO CHAIN": commit,
		"COMMIT AND CHAIN": {Kind: Commit, Tag: "COMMIT", Chain: true},
		"ROLLBACK":         rollback, "ABORT": rollback, "ROLLBACK TRANSACTION": rollback, "ROLLBACK AND NO CHAIN;": rollback,
		"ABORT AND CHAIN": {Kind: Rollback, Tag: "ROLLBACK", Chain: true},
		"SAVEPOINT s1":    named(Savepoint, "SAVEPOINT", "s1"), `savepoint "S x"`: named(Savepoint, "SAVEPOINT", "S x"),
		"SAVEPOINT Sa_Point_1": named(Savepoint, "SAVEPOINT", "sa_point_1"), "RELEASE s1": named(Release, "RELEASE", "s1"),
		`RELEASE SAVEPOINT "s"`: named(Release, "RELEASE", "s"), "ROLLBACK TO s1": named(RollbackTo, "ROLLBACK", "s1"),
		"ROLLBACK WORK TO SAVEPOINT s1": named(RollbackTo, "ROLLBACK", "s1"),

		"SET LOCAL statement_timeout = '5s'": set("statement_timeout", "5s"), `set local "Hasura.user" TO '{"a":"it''s"}';`: set("hasura.user", `{"a":"it's"}`),
		"SET LOCAL app.tenant=42": set("app.tenant", "42"), "SET LOCAL seq_page_cost = -1.5": set("seq_page_cost", "-1.5"), "SET LOCAL jit TO OFF": written("jit", "off"),
		"SET LOCAL ROLE anon": written("role", "anon"), `set local role "An on";`: written("role", `"An on"`), "SET LOCAL ROLE 'anon'": written("role", "'anon'"), "SET LOCAL ROLE NONE": written("role", "NONE"),
		`SET LOCAL search_path TO "a b", public`: written("search_path", `"a b", public`), "SET LOCAL search_path = a": written("search_path", "a"), "SET LOCAL role = anon": written("role", "anon"),

		"SELECT set_config('app.tenant', '7', true)":                                    config(one, Setting{Name: "app.tenant", Value: "7"}),
		"select pg_catalog.set_config('Role', $1, TRUE) ;":                              config(one, Setting{Name: "role", ValueParam: 1}),
		"SELECT set_config($1, $2, true), set_config('a.b'::text, $3::text, true) AS x": config([]string{"set_config", "x"}, Setting{NameParam: 1, ValueParam: 2}, Setting{Name: "a.b", ValueParam: 3}),
		`SELECT set_config('a.b', 'it''s', true) AS "X y"`:                              config([]string{"X y"}, Setting{Name: "a.b", Value: "it's"}),
		"SELECT set_config('a.b', '1', false)":                                          {}, "SELECT set_config('a.b', '1')": {}, "SELECT set_config('a.b', 1, true)": {}, "SELECT set_config('a.b', NULL, true)": {},
		"SELECT set_config('a.b', '1', true) FROM t": {}, "SELECT set_config('a.b', '1', true), 1": {}, "SELECT set_config('a.b', '1', true); SELECT 1": {}, "SELECT set_config('a.b', '1', true) x": {},
		"SELECT set_config('a.b', $2, true)": {}, "SELECT set_config('a.b', $1a, true)": {}, "SELECT set_config('a.b', E'1', true)": {}, "SELECT set_config('a b', '1', true)": {}, "SELECT x.set_config('a.b', '1', true)": {},
		"SELECT set_config('a.b', '1' || '2', true)": {}, "SELECT set_config('a.b', '1', true, 1)": {}, "SELECT set_config": {}, "SELECT set_config(": {}, "SELECT set_configs('a.b', '1', true)": {}, "SELECT set_config('a.b', '1', $1)": {},
		"SELECT DISTINCT set_config('a.b', '1', true)": {}, "SELECT set_config('a.b', '1', true) AS": {}, `SELECT set_config('a.b', '1', true) AS ""`: {},
		"SET LOCAL ROLE": {}, "SET LOCAL ROLE = TO a": {}, "SET LOCAL ROLE a, b": {}, "SET LOCAL ROLE DEFAULT": {}, "SET LOCAL search_path TO": {}, "SET LOCAL search_path TO a,": {}, "SET LOCAL search_path TO DEFAULT": {}, "SET LOCAL search_path TO a b": {},
		"SET LOCAL app.x = 007": {}, "SET LOCAL app.x = 1a": {}, "SET LOCAL app.x = -": {}, "SET LOCAL app.x = 1.": {}, "SET LOCAL app.x = a.b": {},

		"SET statement_timeout = 1": {}, "SET LOCAL": {}, "SET LOCAL x": {}, "SET LOCAL x =": {}, "SET LOCAL x = a, b": {}, "SET LOCAL x TO DEFAULT": {}, "SET LOCAL TRANSACTION READ ONLY": {},
		"SET LOCAL TIME ZONE 'UTC'": {}, `SET LOCAL x = '\'`: {}, "SET LOCAL x = E'a'": {}, "SET LOCAL x = 'a' 'b'": {}, "SET LOCAL x = 'a'; SELECT 1": {}, "SET LOCAL x = \"a\"": {}, "SET LOCAL x = 'a": {},
		"SET LOCAL x = '\xff'": {}, "SET LOCAL é = 1": {}, "SET LOCAL 1x = 1": {}, "SET LOCAL a. = 1": {}, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": {},

		"": {}, "SELECT 1": {}, "BEGINS": {}, "BEGIN SELECT": {}, "BEGIN; SELECT 1": {}, "BEGIN;BEGIN": {}, "BEGIN -- x": {}, "/* x */ BEGIN": {},
		"BEGIN ISOLATION LEVEL REPEATABLE READ": {}, "BEGIN ISOLATION LEVEL SERIALIZABLE": {}, "BEGIN ISOLATION LEVEL READ UNCOMMITTED": {},
		"BEGIN DEFERRABLE": {}, "BEGIN READ": {}, "BEGIN READ ONLY,": {}, "BEGIN READ ONLY, ;": {}, "BEGIN ,READ ONLY": {}, "START": {}, "START WORK": {},
		"COMMIT PREPARED 'x'": {}, "PREPARE TRANSACTION 'x'": {}, "COMMIT AND": {}, "ROLLBACK TO": {}, "ROLLBACK PREPARED 'x'": {},
		"SAVEPOINT": {}, "SAVEPOINT select": {}, "SAVEPOINT a": {}, `SAVEPOINT ""`: {}, `SAVEPOINT "a""b"`: {}, `SAVEPOINT "a`: {}, "SAVEPOINT 1a": {},
		"SAVEPOINT s1 s2": {}, "SAVEPOINT $1": {}, "SAVEPOINT é1": {}, "RELEASE SAVEPOINT": {}, "END IF": {},
		"SAVEPOINT s1234567890123456789012345678901234567890123456789012345678901234567890": {},
	} {
		if got := ParseControl(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestBindControl(t *testing.T) {
	t.Parallel()
	c := ParseControl("SELECT set_config($1, $2, true), set_config('role', $2, true)")
	bound, ok := c.Bind([][]byte{[]byte("App.X"), []byte(`it's \ 1`)})
	if want := `SELECT pg_catalog.set_config('app.x',  E'it''s \\ 1', true), pg_catalog.set_config('role',  E'it''s \\ 1', true)`; !ok || bound.SetConfigs() != want {
		t.Errorf("%v, %s", ok, bound.SetConfigs())
	}
	for _, values := range [][][]byte{nil, {[]byte("app.x")}, {[]byte("app.x"), nil}, {[]byte("a b"), {}}, {[]byte("app.x"), []byte("\xff")}, {[]byte("app.x"), {0}}, {{}, {}}} {
		if _, ok := c.Bind(values); ok {
			t.Errorf("%q is bound", values)
		}
	}
}

func TestParseDeallocate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"DEALLOCATE pdo_stmt_00000001": "pdo_stmt_00000001", `deallocate prepare "S 1" ;`: "S 1", "DEALLOCATE S1": "s1",
		"DEALLOCATE ALL": "", "DEALLOCATE PREPARE ALL": "", "DEALLOCATE s": "", "DEALLOCATE s1; SELECT 1": "", "DEALLOCATE": "", "DEALLOCATE s1 s2": "", "SELECT 1": "",
	} {
		if name, ok := ParseDeallocate(text); ok != (want != "") || ok && name != want {
			t.Errorf("%q: %q, %v", text, name, ok)
		}
	}
}
