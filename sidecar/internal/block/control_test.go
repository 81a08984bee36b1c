package block

import "testing"

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
		return Control{Kind: SetLocal, Tag: "SET", Setting: name, Value: value}
	}
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

		"SET LOCAL statement_timeout = '5s'": set("statement_timeout", "'5s'"), `set local "Hasura.user" TO '{"a":"it''s"}';`: set("hasura.user", `'{"a":"it''s"}'`),
		"SET LOCAL app.tenant=42": set("app.tenant", "42"), "SET LOCAL seq_page_cost = -1.5": set("seq_page_cost", "-1.5"), "SET LOCAL jit TO off": set("jit", "off"),

		"SET statement_timeout = 1": {}, "SET LOCAL": {}, "SET LOCAL x": {}, "SET LOCAL x =": {}, "SET LOCAL x = a, b": {}, "SET LOCAL x TO DEFAULT": {}, "SET LOCAL TRANSACTION READ ONLY": {},
		"SET LOCAL TIME ZONE 'UTC'": {}, `SET LOCAL x = '\'`: {}, "SET LOCAL x = E'a'": {}, "SET LOCAL x = 'a' 'b'": {}, "SET LOCAL x = 'a'; SELECT 1": {}, "SET LOCAL x = \"a\"": {}, "SET LOCAL x = 'a": {},
		"SET LOCAL x = '\xff'": {}, "SET LOCAL é = 1": {}, "SET LOCAL 1x = 1": {}, "SET LOCAL a. = 1": {}, "SET LOCAL ROLE x": {}, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": {},

		"": {}, "SELECT 1": {}, "BEGINS": {}, "BEGIN SELECT": {}, "BEGIN; SELECT 1": {}, "BEGIN;BEGIN": {}, "BEGIN -- x": {}, "/* x */ BEGIN": {},
		"BEGIN ISOLATION LEVEL REPEATABLE READ": {}, "BEGIN ISOLATION LEVEL SERIALIZABLE": {}, "BEGIN ISOLATION LEVEL READ UNCOMMITTED": {},
		"BEGIN DEFERRABLE": {}, "BEGIN READ": {}, "BEGIN READ ONLY,": {}, "BEGIN READ ONLY, ;": {}, "BEGIN ,READ ONLY": {}, "START": {}, "START WORK": {},
		"COMMIT PREPARED 'x'": {}, "PREPARE TRANSACTION 'x'": {}, "COMMIT AND": {}, "ROLLBACK TO": {}, "ROLLBACK PREPARED 'x'": {},
		"SAVEPOINT": {}, "SAVEPOINT select": {}, "SAVEPOINT a": {}, `SAVEPOINT ""`: {}, `SAVEPOINT "a""b"`: {}, `SAVEPOINT "a`: {}, "SAVEPOINT 1a": {},
		"SAVEPOINT s1 s2": {}, "SAVEPOINT $1": {}, "SAVEPOINT é1": {}, "RELEASE SAVEPOINT": {}, "END IF": {},
		"SAVEPOINT s1234567890123456789012345678901234567890123456789012345678901234567890": {},
	} {
		if got := ParseControl(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
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
