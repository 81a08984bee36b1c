package wire

import "testing"

func TestParseControl(t *testing.T) {
	t.Parallel()
	begin := control{kind: controlBegin, tag: "BEGIN"}
	start := control{kind: controlBegin, tag: "START TRANSACTION"}
	readOnly := control{kind: controlBegin, tag: "BEGIN", readOnly: true}
	commit := control{kind: controlCommit, tag: "COMMIT"}
	rollback := control{kind: controlRollback, tag: "ROLLBACK"}
	named := func(kind controlKind, tag, name string) control {
		return control{kind: kind, tag: tag, savepoint: name}
	}
	for text, want := range map[string]control{
		"BEGIN": begin, "begin": begin, " Begin ;": begin, "BEGIN;": begin, "BEGIN;;\n": begin, "BEGIN WORK": begin,
		"BEGIN\tTRANSACTION": begin, "START TRANSACTION": start, "BEGIN ISOLATION LEVEL READ COMMITTED;": begin,
		"BEGIN READ ONLY": readOnly, "BEGIN READ WRITE": begin, "BEGIN READ ONLY, READ WRITE": begin,
		"BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY": readOnly, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE": readOnly,
		"COMMIT": commit, "END": commit, "END TRANSACTION;": commit, "COMMIT WORK": commit, "COMMIT AND NO CHAIN": commit,
		"COMMIT AND CHAIN": {kind: controlCommit, tag: "COMMIT", chain: true},
		"ROLLBACK":         rollback, "ABORT": rollback, "ROLLBACK TRANSACTION": rollback, "ROLLBACK AND NO CHAIN;": rollback,
		"ABORT AND CHAIN": {kind: controlRollback, tag: "ROLLBACK", chain: true},
		"SAVEPOINT s1":    named(controlSavepoint, "SAVEPOINT", "s1"), `savepoint "S x"`: named(controlSavepoint, "SAVEPOINT", "S x"),
		"SAVEPOINT Sa_Point_1": named(controlSavepoint, "SAVEPOINT", "sa_point_1"), "RELEASE s1": named(controlRelease, "RELEASE", "s1"),
		`RELEASE SAVEPOINT "s"`: named(controlRelease, "RELEASE", "s"), "ROLLBACK TO s1": named(controlRollbackTo, "ROLLBACK", "s1"),
		"ROLLBACK WORK TO SAVEPOINT s1": named(controlRollbackTo, "ROLLBACK", "s1"),

		"": {}, "SELECT 1": {}, "BEGINS": {}, "BEGIN SELECT": {}, "BEGIN; SELECT 1": {}, "BEGIN;BEGIN": {}, "BEGIN -- x": {}, "/* x */ BEGIN": {},
		"BEGIN ISOLATION LEVEL REPEATABLE READ": {}, "BEGIN ISOLATION LEVEL SERIALIZABLE": {}, "BEGIN ISOLATION LEVEL READ UNCOMMITTED": {},
		"BEGIN DEFERRABLE": {}, "BEGIN READ": {}, "BEGIN READ ONLY,": {}, "BEGIN READ ONLY, ;": {}, "BEGIN ,READ ONLY": {}, "START": {}, "START WORK": {},
		"COMMIT PREPARED 'x'": {}, "PREPARE TRANSACTION 'x'": {}, "COMMIT AND": {}, "ROLLBACK TO": {}, "ROLLBACK PREPARED 'x'": {},
		"SAVEPOINT": {}, "SAVEPOINT select": {}, "SAVEPOINT a": {}, `SAVEPOINT ""`: {}, `SAVEPOINT "a""b"`: {}, `SAVEPOINT "a`: {}, "SAVEPOINT 1a": {},
		"SAVEPOINT s1 s2": {}, "SAVEPOINT $1": {}, "SAVEPOINT é1": {}, "RELEASE SAVEPOINT": {}, "END IF": {},
		"SAVEPOINT s1234567890123456789012345678901234567890123456789012345678901234567890": {},
	} {
		if got := parseControl(text); got != want {
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
		if name, ok := parseDeallocate(text); ok != (want != "") || ok && name != want {
			t.Errorf("%q: %q, %v", text, name, ok)
		}
	}
}
