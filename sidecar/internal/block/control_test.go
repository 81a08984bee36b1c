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
