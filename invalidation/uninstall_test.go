package invalidation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// One table is taken out, with what belongs to it: followers stop answering from what they
// keep of it, the others stay, and it can be put back.
func TestUninstallTables(t *testing.T) {
	t.Parallel()
	for _, events := range []bool{true, false} {
		t.Run(fmt.Sprint("event triggers ", events), func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, `CREATE TABLE fruit (id int PRIMARY KEY, name text);
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9)`)
			db.install("public.*")
			if !events {
				db.run("DROP EVENT TRIGGER freshet_drop", "DROP EVENT TRIGGER freshet_ddl_end", "DROP EVENT TRIGGER freshet_ddl_start")
			}
			f := db.follow(nil)
			for _, c := range []struct {
				pattern, names, left string
				gone, stays          string
			}{
				{"public.none", "[]", "parted part fruit", "", "parted"},
				{"public.part", "[public.part public.parted]", "fruit", "parted", "fruit"},
				{"public.f*", "[public.fruit]", "", "fruit", ""},
			} {
				f.confirmNow()
				entries := map[string]*fence.Ticket{}
				for _, table := range []string{c.gone, c.stays} {
					if table != "" {
						entries[table] = f.load(append(db.spell(table), fence.SchemaText)...)
					}
				}
				names, err := UninstallTables(t.Context(), db.Conn, []string{c.pattern})
				if err != nil || fmt.Sprint(names) != c.names {
					t.Fatalf("%s: removed %v, error %v", c.pattern, names, err)
				}
				f.confirmNow()
				if c.gone != "" {
					f.wantAdmitted(entries[c.gone], false, c.gone+" after "+c.pattern)
				} else {
					f.wantAdmitted(entries[c.stays], true, c.stays+" after "+c.pattern)
				}
				for _, state := range []*State{db.state(), f.State()} {
					left := ""
					for _, table := range state.Tables() {
						left += table.Name + " "
					}
					if want := map[string]int{"parted part fruit": 3, "fruit": 1, "": 0}[c.left]; len(state.Tables()) != want {
						t.Errorf("%s: %sare watched", c.pattern, left)
					}
				}
				if problems := strings.Join(f.State().Problems(), " "); strings.Contains(problems, "watched since") || f.Stats().TablesLost["trigger"] != 0 {
					t.Errorf("%s: what is taken out on purpose is missed: %s", c.pattern, problems)
				}
			}
			// Without event triggers the follower records by itself, at any look, that definitions
			// changed; and it may trim the oldest events meanwhile.
			last := db.value("SELECT coalesce(max(written), '0/0') FROM freshet.outbox")
			db.run("INSERT INTO fruit VALUES (1, 'fig')", "INSERT INTO parted VALUES (1)")
			if n := db.value("SELECT count(*) FROM freshet.outbox WHERE written > $1::text::pg_lsn AND tags <> ARRAY[$2]", last, fence.SchemaText); n != "0" {
				t.Errorf("writes were recorded: %s events", n)
			}
			if n := db.value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'freshet'::regnamespace AND starts_with(proname::text, 'capture_')"); n != "0" {
				t.Errorf("%s functions are left", n)
			}
			if report := db.install("public.*"); len(report.Watched) != 2 {
				t.Errorf("installed again: %+v", report)
			}
		})
	}
	if _, err := UninstallTables(t.Context(), nil, []string{"fruit"}); err == nil {
		t.Error("a pattern without a schema was taken")
	}
}

// A tree is taken out one table after the other, and its triggers go with either. A follower that
// looks in between misses none of them.
func TestTakenOutOneTableAfterTheOther(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]string{{"part", "parted"}, {"parted", "part"}} {
		t.Run(names[0]+" first", func(t *testing.T) {
			db := newDatabase(t, "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9)")
			db.install("public.*")
			s := db.step()
			s.look()
			trees := []relationName{{"public", names[0]}, {"public", names[1]}}
			for _, table := range trees {
				if err := runLocking(t.Context(), db.Conn, dropTriggersSQL(table), releasedEventSQL(trees)); err != nil {
					t.Fatal(err)
				}
				s.look()
				if f := s.looker.f; f.Stats().TablesLost["trigger"] != 0 || strings.Contains(strings.Join(f.State().Problems(), " "), "watched since") {
					t.Errorf("behind %s: %v, %q", table.Name, f.Stats().TablesLost, f.State().Problems())
				}
			}
			if n := len(s.looker.f.State().Tables()); n != 0 {
				t.Errorf("%d tables are watched", n)
			}
		})
	}
}

// What would be done is told, and nothing is done.
func TestPreviewInstall(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE fruit (id int PRIMARY KEY, name text)", "CREATE VIEW fruits AS SELECT * FROM fruit")
	options := Options{Watch: []string{"public.*"}, FollowerRoles: []string{"postgres"}}
	preview := func() Preview {
		t.Helper()
		p, err := PreviewInstall(t.Context(), db.Conn, options)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := preview()
	if len(first.Shared) < 2 || len(first.Watched) != 1 || !first.Watched[0].Changed || fmt.Sprint(first.Watched[0].Columns) != "[id]" || len(first.Skipped) != 1 {
		t.Errorf("in an empty database: %+v", first)
	}
	db.wantNothing()
	db.install("public.*")
	db.run("GRANT USAGE ON SCHEMA public TO postgres")
	options.FollowerRoles = nil
	if again := preview(); len(again.Shared) != 0 || len(again.Watched) != 1 || again.Watched[0].Changed {
		t.Errorf("where all is there: %+v", again)
	}
	db.run("DROP EVENT TRIGGER freshet_drop", "CREATE TABLE nut (id int PRIMARY KEY)")
	if more := preview(); len(more.Shared) == 0 || len(more.Watched) != 2 {
		t.Errorf("where something is missing: %+v", more)
	}
	options.Watch = []string{"pubic.*"}
	if _, err := PreviewInstall(t.Context(), db.Conn, options); err == nil {
		t.Error("a pattern that matches nothing was taken")
	}
}

// Who is told to wait for a lock asks for it more often than others.
func TestLockingUntil(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE SEQUENCE attempts", `CREATE FUNCTION lock_late() RETURNS void LANGUAGE plpgsql AS $$BEGIN
	IF nextval('public.attempts') <= 16 THEN RAISE SQLSTATE '55P03'; END IF; END$$`)
	if err := runLockingUntil(t.Context(), db.Conn, time.Now().Add(time.Hour), "SELECT public.lock_late()"); err != nil {
		t.Error(err)
	}
	if n := db.value("SELECT last_value FROM attempts"); n != fmt.Sprint(lockAttemptsMax+2) {
		t.Errorf("%s attempts", n)
	}
}
