package invalidation

import (
	"context"
	"fmt"
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

// This test makes a role; see TestOrdinaryRoleNeedsNoRights.
func TestPurgeEndsWhatItNames(t *testing.T) {
	db := newRolesDatabase(t, `CREATE TABLE fruit (id int PRIMARY KEY, name text);
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
CREATE TABLE other (id int PRIMARY KEY)`)
	db.install("public.*")
	f := db.follow(nil)
	kinds := [][]string{{"fruit"}, {"fruit/id=1", "fruit/*"}, {"parted"}, {"other"}}
	load := func() (entries []*fence.Ticket) {
		f.confirmNow()
		for _, texts := range kinds {
			entries = append(entries, f.load(append(db.spell(texts...), fence.SchemaText)...))
		}
		return entries
	}
	for _, c := range []struct {
		patterns []string
		names    string
		left     []bool // by kind
	}{
		{[]string{"public.fruit"}, "[public.fruit]", []bool{false, false, true, true}},
		{[]string{"public.part"}, "[public.part]", []bool{true, true, false, true}},
		{[]string{"public.f*", "public.other"}, "[public.fruit public.other]", []bool{false, false, true, false}},
		{[]string{"public.none"}, "[]", []bool{true, true, true, true}},
		{nil, "[]", []bool{false, false, false, false}},
	} {
		entries := load()
		var names []string
		var err error
		if c.patterns == nil {
			err = PurgeAll(t.Context(), db.Conn)
		} else {
			names, err = Purge(t.Context(), db.Conn, c.patterns)
		}
		if err != nil || fmt.Sprint(names) != c.names {
			t.Errorf("%v: purged %v, error %v", c.patterns, names, err)
		}
		f.confirmNow()
		for i, entry := range entries {
			f.wantAdmitted(entry, c.left[i], fmt.Sprint(kinds[i], " after ", c.patterns))
		}
	}
	reader := "purged_" + db.value("SELECT current_database()")
	db.run("CREATE ROLE "+reader, "CREATE VIEW fruits AS SELECT name FROM fruit", "GRANT SELECT ON fruits, part TO "+reader)
	defer db.run("DROP OWNED BY "+reader, "DROP ROLE "+reader)
	entries := load()
	names, err := PurgeRole(t.Context(), db.Conn, reader)
	if err != nil || fmt.Sprint(names) != "[public.fruit public.part]" {
		t.Errorf("of a role that reads a view and a partition: purged %v, error %v", names, err)
	}
	f.confirmNow()
	for i, left := range []bool{false, false, false, true} {
		f.wantAdmitted(entries[i], left, fmt.Sprint(kinds[i], " after a role"))
	}
	if _, err := PurgeRole(t.Context(), db.Conn, "nobody_has_that_name"); err == nil {
		t.Error("a role was taken that is not there")
	}
	if _, err := Purge(t.Context(), db.Conn, []string{"fruit"}); err == nil {
		t.Error("a pattern without a schema was taken")
	}
}

// The owner ends what depends on a table from within the database, in the transaction that
// makes it wrong; nobody else may, unless granted, and what is not watched is an error. This
// test makes a role; see TestOrdinaryRoleNeedsNoRights.
func TestPurgeFunction(t *testing.T) {
	db := newRolesDatabase(t, `CREATE TABLE fruit (id int PRIMARY KEY, name text);
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9)`)
	db.install("public.*")
	db.run("CREATE TABLE plain (id int)")
	stranger := "stranger_" + db.value("SELECT current_database()")
	db.run("CREATE ROLE " + stranger)
	t.Cleanup(func() {
		if _, err := db.Exec(context.Background(), "RESET ROLE; DROP OWNED BY "+stranger+"; DROP ROLE "+stranger); err != nil {
			t.Error(err)
		}
	})
	f := db.follow(nil)
	kinds := [][]string{{"fruit"}, {"fruit/id=1", "fruit/*"}, {"parted"}}
	for _, c := range []struct {
		before, statement, after, refused string
		left                              []bool // by kind
	}{
		{"", "SELECT freshet.purge('fruit')", "", "", []bool{false, false, true}},
		{"", "SELECT freshet.purge('public.part')", "", "", []bool{true, true, false}},
		{"", "SELECT freshet.purge(NULL)", "", "", []bool{true, true, true}},
		{"", "BEGIN; SELECT freshet.purge('fruit'); ROLLBACK", "", "", []bool{true, true, true}},
		{"", "SELECT freshet.purge('plain')", "", "55000", []bool{true, true, true}},
		{"", "SELECT freshet.purge('none')", "", "42P01", []bool{true, true, true}},
		{"", "BEGIN READ ONLY; SELECT freshet.purge('fruit'); COMMIT", "ROLLBACK", "25006", []bool{true, true, true}},
		{"SET ROLE " + stranger, "SELECT freshet.purge('public.fruit')", "RESET ROLE", "42501", []bool{true, true, true}},
		{"GRANT EXECUTE ON FUNCTION freshet.purge(regclass) TO " + stranger + "; SET ROLE " + stranger, "SELECT freshet.purge('public.fruit')", "RESET ROLE", "", []bool{false, false, true}},
	} {
		if c.before != "" {
			db.run(c.before)
		}
		f.confirmNow()
		var entries []*fence.Ticket
		for _, texts := range kinds {
			entries = append(entries, f.load(append(db.spell(texts...), fence.SchemaText)...))
		}
		_, err := db.PgConn().Exec(t.Context(), c.statement).ReadAll()
		if got := sqlState(err); got != c.refused {
			t.Errorf("%s: %v, want %q", c.statement, err, c.refused)
		}
		if c.after != "" {
			db.run(c.after)
		}
		f.confirmNow()
		for i, entry := range entries {
			f.wantAdmitted(entry, c.left[i], fmt.Sprint(kinds[i], " after ", c.statement))
		}
	}
	// An installation from before the function gets it.
	db.run("DROP FUNCTION freshet.purge(regclass)")
	if problems := db.state().Problems(); len(problems) == 0 {
		t.Error("an installation without the function is complete")
	}
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Errorf("installed again: %q", problems)
	}
	db.run("SELECT freshet.purge('fruit')")
}
