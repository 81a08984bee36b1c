package wire

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// Transaction control, SET and their kin have no effect on rows by their text alone. Any other
// statement, and a text of which only a part is such a statement, may write.
func TestOnlyControlStatementsHaveNoEffectByTheirText(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"SET a.b = 'c'", "set local work_mem = 1000;", "RESET ALL", "SHOW all", "LISTEN a", "DISCARD ALL", "DEALLOCATE a",
		"BEGIN", "COMMIT", "ROLLBACK TO a1", "RELEASE SAVEPOINT a1", "/* SELECT */ SET a.b = 'c'",
	} {
		if effectOfText(sql) != shapes.NoEffect {
			t.Errorf("%s: is taken for a write, want no effect", sql)
		}
	}
	for _, sql := range []string{
		"", "SELECT 1", "UPDATE item SET version = 1", "SET a.b = 'c'; DELETE FROM item", "SHOW all; CALL a()", "PREPARE TRANSACTION 'a'",
		"COMMIT PREPARED 'a'", "EXECUTE a", "FETCH a", "COMMIT; UPDATE item SET version = 1", "/* /* */ SET */ DELETE FROM item",
	} {
		if effectOfText(sql) == shapes.NoEffect {
			t.Errorf("%q: is taken for a statement without effect, want one that may write", sql)
		}
	}
}

// Statements that change settings, and those that begin and end transactions, are not marked as
// writes, so that no read waits for a look behind them. An UPDATE is.
func TestSettingsMarkNothing(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement, "unnamed": pgx.QueryExecModeExec,
	} {
		conn := s.connect()
		before := s.fence.Marked(nil)
		for _, sql := range []string{"SET work_mem = '5MB'", "SHOW work_mem", "BEGIN", "SET LOCAL work_mem = '6MB'", "SAVEPOINT a1", "COMMIT"} {
			mustExec(t, conn, sql, mode)
		}
		if s.fence.Marked(nil) != before {
			t.Errorf("%s: settings and transaction control are marked as writes, want no mark", name)
		}
		// Each UPDATE has a text that is new: of one that was analysed the row alone would be marked.
		mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 7 /* "+name+" */", mode)
		if s.fence.Marked(nil) == before {
			t.Errorf("%s: an UPDATE is not marked, want a mark", name)
		}
	}
}

// Forces the interleaving described at effectOfBound: the Parse that would make the unnamed
// statement a SET is skipped behind an error, so that the Bind sent behind it runs the UPDATE that
// the unnamed statement was before. The UPDATE is marked.
func TestWriteBehindASkippedParseIsMarked(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	c := dialRaw(t, s.dsn())
	c.ask(msgParse("", "UPDATE item SET version = 5 WHERE id = 7"), msgSync)
	before := s.fence.Marked(nil)
	c.send(join(
		msgParse("a", "SELECT nothing"), msgParse("", "SET work_mem = '5MB'"), msgSync,
		msgBind(""), msgExecute("", 0), msgSync,
	))
	c.until("ZZ")
	if got := versionOf7(t, bed.direct); got != 5 {
		t.Fatalf("version %d, want 5: the UPDATE did not run, and this test shows nothing", got)
	}
	if s.fence.Marked(nil) == before {
		t.Error("the UPDATE that ran in place of the SET is not marked, want a mark")
	}
}

// A write whose own values say which row it changes marks that row, and each column whose value
// they do not say. An answer that depends on another row is still served from the cache, though no
// look can come; an answer that depends on the written row shows the write.
func TestRowsThatAreWrittenAreMarked(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema+`CREATE INDEX ON item (name)`)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	t.Cleanup(ear.open)
	writer, reader := s.connect(), s.connect()
	const update = "UPDATE item SET version = version + 1 WHERE id = $1"
	version := 0
	write := func() {
		t.Helper()
		mustExec(t, writer, update, 7)
		version++
	}
	for range 3 { // the statement and the session become known
		versionOf7(t, writer)
		write()
		s.allAnalysed()
	}
	reads := map[string]bool{ // whether the read depends on the row that is written
		"SELECT version FROM item WHERE id = 7":          true,
		"SELECT version FROM item WHERE name = 'item 7'": true,
		"SELECT max(version) FROM item":                  true,
		"SELECT version + 0 FROM item WHERE id = 8":      false,
	}
	for sql, depends := range reads {
		ear.open()
		ask := func() (v int) {
			t.Helper()
			if err := reader.QueryRow(t.Context(), sql).Scan(&v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		servers.Eventually(t, "a hit", func() bool {
			before := s.count(HitL1)
			ask()
			return s.count(HitL1) > before
		})
		s.warm(reader)
		ear.close() // no look can come
		write()
		hits := s.count(HitL1)
		got := ask()
		switch {
		case depends && got != version:
			t.Errorf("%s: version %d, want %d, which was acknowledged", sql, got, version)
		case !depends && s.count(HitL1) == hits:
			t.Errorf("%s: no hit, want one, as the read does not depend on the row that was written", sql)
		}
	}
}

// SchemaChanged marks everything, since the marks before it name only columns that were watched
// then: the interleaving is described there.
func TestSchemaChangeMarksEverything(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	s.warm(s.connect())
	marked := fence.Now() // a write is marked by the columns that are watched now
	s.SchemaChanged()
	if s.fence.Marked(nil) < marked {
		t.Errorf("everything is marked at %v, want %v or later: an entry that depends on another column would need no look", s.fence.Marked(nil), marked)
	}
}
