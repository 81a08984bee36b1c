package wire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

const waysSchema = `
	CREATE TABLE parent (id int PRIMARY KEY, v int NOT NULL); INSERT INTO parent SELECT i, 0 FROM generate_series(1, 9) i;
	CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON UPDATE CASCADE ON DELETE SET NULL); INSERT INTO child VALUES (1, 9), (2, 8);
	CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
	CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (5);
	CREATE TABLE high PARTITION OF parts FOR VALUES FROM (5) TO (100); INSERT INTO parts VALUES (1, 0);
	CREATE TABLE general (id int, v int); CREATE TABLE special () INHERITS (general); INSERT INTO special VALUES (1, 0);
	CREATE TABLE logged (v int); INSERT INTO logged VALUES (0);
	CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE logged SET v = v + 1; RETURN NEW; END';
	CREATE TABLE audited (id int PRIMARY KEY, v int); INSERT INTO audited VALUES (1, 0);
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON audited DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION logs();
	CREATE TABLE watched_by_row (id int PRIMARY KEY, v int); INSERT INTO watched_by_row VALUES (1, 0);
	CREATE TRIGGER early BEFORE UPDATE ON watched_by_row FOR EACH ROW EXECUTE FUNCTION logs();
	CREATE TABLE ruled (id int PRIMARY KEY, v int); INSERT INTO ruled VALUES (1, 0);
	CREATE RULE also AS ON UPDATE TO ruled DO ALSO UPDATE logged SET v = v + 1;
	CREATE FUNCTION adds() RETURNS int LANGUAGE plpgsql AS 'BEGIN UPDATE logged SET v = v + 1; RETURN 1; END';
	CREATE TABLE defaulted (id serial PRIMARY KEY, v int DEFAULT adds());
	CREATE DOMAIN checked AS int CHECK (adds() = VALUE - VALUE + 1);
	CREATE TABLE typed (id serial PRIMARY KEY, v checked);
	CREATE TABLE constrained (id serial PRIMARY KEY, v int CHECK (adds() = 1));
	CREATE FUNCTION pure(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN UPDATE logged SET v = logged.v + 1; RETURN v; END';
	CREATE VIEW shown AS SELECT id, v FROM parent;
	CREATE VIEW instead AS SELECT id, v FROM audited;
	CREATE TRIGGER redirects INSTEAD OF UPDATE ON instead FOR EACH ROW EXECUTE FUNCTION logs()`

// allAnalysed waits until no statement is being analysed.
func (s *side) allAnalysed() {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "all analyses", func() bool { return !slices.ContainsFunc(s.verdicts.All(), (*shapes.Slot).Pending) })
}

// A statement may change a table as its own target, or by a trigger, a rule, a function and so on. In
// whatever way, the next read on another connection of the same sidecar shows the change, although the
// follower looks only when a read demands it.
func TestEveryWayToWriteIsSeen(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, waysSchema)
	s := bed.sidecar(lazy)
	const one, log = "SELECT v FROM parent WHERE id = 1", "SELECT v FROM logged"
	for _, test := range []struct {
		name, read string
		write      []string
	}{
		{"an UPDATE of the table", one, []string{"UPDATE parent SET v = v + 1 WHERE id = 1"}},
		{"an UPDATE of a view of the table", one, []string{"UPDATE shown SET v = v + 1 WHERE id = 1"}},
		{"a part of a WITH", one, []string{"WITH u AS (UPDATE parent SET v = v + 1 WHERE id = 1 RETURNING v) SELECT v FROM u"}},
		{"a WITH below another write", one, []string{"WITH u AS (UPDATE parent SET v = v + 1 WHERE id = 1 RETURNING v) INSERT INTO general SELECT 1, v FROM u"}},
		{"an insert that meets a row", one, []string{"INSERT INTO parent VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET v = parent.v + 1"}},
		{"a merge", one, []string{"MERGE INTO parent p USING (SELECT 1 AS id) s ON p.id = s.id WHEN MATCHED THEN UPDATE SET v = p.v + 1"}},
		{"a statement that is explained", one, []string{"EXPLAIN ANALYZE UPDATE parent SET v = v + 1 WHERE id = 1"}},
		{"a statement that SQL prepared", one, []string{"PREPARE adds AS UPDATE parent SET v = v + 1 WHERE id = 1", "EXECUTE adds", "DEALLOCATE adds"}},
		{"a cursor", one, []string{"BEGIN", "DECLARE c CURSOR FOR SELECT v FROM parent WHERE id = 1 FOR UPDATE", "FETCH c", "UPDATE parent SET v = v + 1 WHERE CURRENT OF c", "COMMIT"}},
		{"a transaction of two tables", one, []string{"BEGIN", "UPDATE parent SET v = v + 1 WHERE id = 1", "UPDATE low SET v = v + 1", "COMMIT"}},
		{"an update that cascades", "SELECT parent FROM child WHERE id = 1", []string{"UPDATE parent SET id = id + 1000 WHERE id = (SELECT parent FROM child WHERE id = 1)"}},
		{"a delete that cascades", "SELECT count(parent) FROM child", []string{"DELETE FROM parent WHERE id = 8"}},
		{"a partition", "SELECT v FROM parts WHERE id = 1", []string{"UPDATE low SET v = v + 1"}},
		{"the table of a partition", "SELECT sum(v) FROM low", []string{"UPDATE parts SET v = v + 1 WHERE id = 1"}},
		{"a row that moves", "SELECT count(*) FROM high", []string{"UPDATE parts SET id = 50 WHERE id = 1"}},
		{"a parent of inheritance", "SELECT v FROM special", []string{"UPDATE general SET v = v + 1"}},
		{"a child of inheritance", "SELECT sum(v) FROM general", []string{"UPDATE special SET v = v + 1"}},
		{"a deferred trigger", log, []string{"BEGIN", "UPDATE audited SET v = v + 1", "COMMIT"}},
		{"a trigger before", log, []string{"UPDATE watched_by_row SET v = v + 1"}},
		{"a trigger instead", log, []string{"UPDATE instead SET v = v + 1"}},
		{"a rule", log, []string{"UPDATE ruled SET v = v + 1"}},
		{"a default", log, []string{"INSERT INTO defaulted DEFAULT VALUES"}},
		{"a domain", log, []string{"INSERT INTO typed (v) VALUES (1)"}},
		{"a constraint", log, []string{"INSERT INTO constrained (v) VALUES (1)"}},
		{"a function", log, []string{"SELECT adds()"}},
		{"a function in a write", log, []string{"UPDATE parent SET v = v + adds() WHERE id = 2"}},
		{"a function behind a condition", log, []string{"UPDATE parent SET v = v + 1 WHERE id = 2 AND adds() = 1"}},
		{"a function in what is returned", log, []string{"UPDATE parent SET v = v + 1 WHERE id = 2 RETURNING adds()"}},
		{"a block of code", log, []string{"DO 'BEGIN UPDATE logged SET v = v + 1; END'"}},
		{"TRUNCATE", "SELECT count(*) FROM logged", []string{"TRUNCATE logged"}},
		{"a column that comes with its values", "SELECT count(*) FROM parent p WHERE to_jsonb(p) ? 'w'", []string{"ALTER TABLE parent ADD COLUMN w int DEFAULT 7"}},
	} {
		writer, reader := s.connect(), s.connect()
		read := func(conn *pgx.Conn) (got string) {
			t.Helper()
			if err := conn.QueryRow(t.Context(), "SELECT coalesce(("+test.read+")::text, 'none')").Scan(&got); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			return got
		}
		// The shapes of the read and of the writes are analysed before the change that counts.
		servers.Eventually(t, fmt.Sprintf("%s: a hit", test.name), func() bool {
			before := s.count(HitL1)
			read(reader)
			return s.count(HitL1) > before
		})
		for _, sql := range test.write {
			for _, sql := range []string{"BEGIN", sql, "ROLLBACK"} {
				_, _ = writer.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol) // a statement may fail without the transaction that it is part of
			}
		}
		s.allAnalysed()
		read(writer)
		before := read(reader)
		for _, sql := range test.write {
			if _, err := writer.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatalf("%s: %s: %v", test.name, sql, err)
			}
		}
		got, want := read(reader), read(bed.direct)
		if got != want || want == before {
			t.Errorf("%s: read %q behind the acknowledgement, want %q, and not %q as before", test.name, got, want, before)
		}
	}
}
