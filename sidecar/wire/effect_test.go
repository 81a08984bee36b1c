package wire

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

func TestOnlyControlStatementsHaveNoEffectByTheirText(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"SET a.b = 'c'", "set local work_mem = 1000;", "RESET ALL", "SHOW all", "LISTEN a", "DISCARD ALL", "DEALLOCATE a",
		"BEGIN", "COMMIT", "ROLLBACK TO a1", "RELEASE SAVEPOINT a1", "/* SELECT */ SET a.b = 'c'",
	} {
		if effectOfText(sql) != shapes.NoEffect {
			t.Errorf("%s: may write anything", sql)
		}
	}
	for _, sql := range []string{
		"", "SELECT 1", "UPDATE item SET version = 1", "SET a.b = 'c'; DELETE FROM item", "SHOW all; CALL a()", "PREPARE TRANSACTION 'a'",
		"COMMIT PREPARED 'a'", "EXECUTE a", "FETCH a", "COMMIT; UPDATE item SET version = 1", "/* /* */ SET */ DELETE FROM item",
	} {
		if effectOfText(sql) == shapes.NoEffect {
			t.Errorf("%s: taken for something that writes nothing", sql)
		}
	}
}

// What changes settings, or begins and ends transactions, has nobody wait for a look.
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
			t.Errorf("%s: taken for writes", name)
		}
		// Each is new to the analysis, which would tell of the rows alone.
		mustExec(t, conn, "UPDATE item SET version = version + 1 WHERE id = 7 /* "+name+" */", mode)
		if s.fence.Marked(nil) == before {
			t.Errorf("%s: an UPDATE is not marked", name)
		}
	}
}

// The interleaving described at effectOfBound: a name stands for an UPDATE though
// its client believes, for now, that it stands for a SET.
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
		t.Fatalf("version %d: this test shows nothing", got)
	}
	if s.fence.Marked(nil) == before {
		t.Error("what was written under another name is not marked")
	}
}

// Of a write that tells by its own values which rows it changes, these are marked, and
// the columns whose values it does not tell: what depends on other rows goes on being
// served, though nobody looks.
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
	reads := map[string]bool{ // whether they depend on what is written
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
			t.Errorf("%s: version %d, and %d is acknowledged", sql, got, version)
		case !depends && s.count(HitL1) == hits:
			t.Errorf("%s: waits for a look, or goes to Postgres", sql)
		}
	}
}

// The interleaving of Server.SchemaChanged: whatever was marked by what was known of a
// schema, everything is marked once another one is known.
func TestSchemaChangeMarksEverything(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	s := bed.sidecar(lazy)
	s.warm(s.connect())
	marked := fence.Now() // by what is known now
	s.SchemaChanged()
	if s.fence.Marked(nil) < marked {
		t.Error("an entry that depends on another column needs no look")
	}
}
