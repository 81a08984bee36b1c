package invalidation

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// newOwned makes a database whose owner is an ordinary role, which made its tables and
// installed: it may not create event triggers. The session is a superuser's.
func newOwned(t *testing.T, statements ...string) (db *database, owner string, report Report) {
	t.Helper()
	db = newRolesDatabase(t)
	name := db.value("SELECT current_database()")
	owner = "owns_" + name
	db.run("CREATE ROLE "+owner+" LOGIN", "GRANT CREATE ON DATABASE "+name+" TO "+owner, "GRANT ALL ON SCHEMA public TO "+owner, "SET ROLE "+owner)
	t.Cleanup(func() {
		for _, sql := range []string{"ROLLBACK", "RESET ROLE", "DROP OWNED BY " + owner + " CASCADE", "DROP ROLE " + owner} {
			if _, err := db.Exec(context.Background(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
	db.run(statements...)
	report = db.install("public.*")
	db.run("RESET ROLE")
	return db, owner, report
}

// Who may not create event triggers installs all the rest, and is told so.
func TestInstallWithoutEventTriggers(t *testing.T) {
	db, owner, report := newOwned(t, shop)
	if len(report.Watched) == 0 || !strings.Contains(report.Unreported, "event trigger") {
		t.Errorf("report %+v, want tables, and that event triggers are missing", report)
	}
	state := db.state()
	if problems := strings.Join(state.Problems(), "\n"); state.Reported() || len(state.Problems()) != 1 || !strings.Contains(problems, "superuser") {
		t.Errorf("reported %v; problems %s", state.Reported(), problems)
	}
	// Again, and by a follower that installs, changes nothing.
	db.run("SET ROLE " + owner)
	for _, table := range db.install("public.*").Watched {
		if table.Changed {
			t.Errorf("%s was installed again", table.Name)
		}
	}
	script, err := Script(t.Context(), db.Conn, Options{Watch: []string{"public.*"}})
	if err != nil {
		t.Fatal(err)
	}
	db.run("BEGIN", strings.NewReplacer("\\set ON_ERROR_STOP on", "", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;", "", "COMMIT;", "").Replace(script), "ROLLBACK")
	db.run("RESET ROLE")
	f := db.follow(func(o *FollowerOptions) {
		o.ConnConfig.User, o.Watch, o.Verify = owner, []string{"public.*"}, 20*time.Millisecond
	})
	f.run("SET ROLE "+owner, "CREATE TABLE later (id int PRIMARY KEY)", "RESET ROLE")
	servers.Eventually(t, "a table made later is watched", func() bool { _, ok := f.State().ByName("public.later"); return ok })
	if s := f.Stats(); s.Wanting != "" {
		t.Errorf("it wants %s", s.Wanting)
	}
	// Once the role may, it makes them.
	db.run("ALTER ROLE "+owner+" SUPERUSER", "SET ROLE "+owner)
	if report := db.install("public.*"); report.Unreported != "" {
		t.Errorf("as a superuser: %s", report.Unreported)
	}
	if state := db.state(); !state.Reported() || len(state.Problems()) > 0 {
		t.Errorf("problems %v", state.Problems())
	}
}

// redefinitions are what changes an answer, or what it depends on, and no row of a
// watched table by a statement that a trigger sees.
var redefinitions = []string{
	"ALTER TABLE users RENAME name TO title",
	"ALTER TABLE users ALTER name TYPE varchar(1) USING left(name, 1)",
	"ALTER TABLE users DROP COLUMN email",
	"ALTER TABLE users RENAME email TO mail",
	"DROP TRIGGER zz_freshet_update ON users",
	"ALTER TABLE users DISABLE TRIGGER USER",
	"ALTER TABLE parted DETACH PARTITION parted_low",
	"CREATE TABLE more (LIKE parted INCLUDING ALL); INSERT INTO more VALUES (2000, 'x'); ALTER TABLE parted ATTACH PARTITION more FOR VALUES FROM (1000) TO (3000)",
	"ALTER TABLE kid NO INHERIT base",
	"DROP TABLE orders; CREATE TABLE orders (id bigint PRIMARY KEY, user_id int, note text)",
	"DROP TABLE kid",
	"CREATE OR REPLACE VIEW v AS SELECT 2 AS one",
	"ALTER VIEW v RENAME TO w",
	"CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'",
	"CREATE SCHEMA s",
	"ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
	"ALTER DOMAIN small ADD CHECK (VALUE < 100)",
	"CREATE POLICY p ON users USING (true)",
	"ALTER TABLE users ENABLE ROW LEVEL SECURITY",
	"GRANT SELECT ON users TO PUBLIC",
	"GRANT SELECT (id) ON users TO PUBLIC",
	"ALTER TABLE users ALTER name SET DEFAULT 'x'",
	"CREATE RULE r AS ON DELETE TO plain DO INSTEAD NOTHING",
	"CREATE OPERATOR %% (LEFTARG = int, RIGHTARG = int, FUNCTION = int4mod)",
	"CREATE CAST (mood AS int) WITH FUNCTION of_mood(mood)",
	"CREATE COLLATION c (LOCALE = 'C')",
	"CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int)",
	"CREATE TEXT SEARCH CONFIGURATION ts (COPY = simple)",
	"ALTER TEXT SEARCH CONFIGURATION english ALTER MAPPING FOR word WITH simple",
	"ALTER TEXT SEARCH DICTIONARY english_stem (StopWords)",
	"REFRESH MATERIALIZED VIEW totals",
	"DROP TABLE freshet.fingerprint CASCADE",
	"COMMENT ON SCHEMA freshet IS 'freshet: suspended'",
}

const redefined = shop + `
CREATE VIEW v AS SELECT 1 AS one;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE FUNCTION of_mood(mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE DOMAIN small AS int;
CREATE MATERIALIZED VIEW totals AS SELECT 1 AS one;
`

// compared is a looker without event triggers that a test moves by hand: it compares
// when the test says so.
func compared(t *testing.T) *stepped {
	t.Helper()
	db := newWatched(t, redefined)
	return db.compared()
}

func (db *database) compared() *stepped {
	db.t.Helper()
	db.run(withoutEvents)
	s := db.step()
	s.SetDefinitions(time.Hour)
	s.look()
	return s
}

// compare makes a look that compares, as after Suspect.
func (s *stepped) compare() error {
	s.Suspect()
	_, _, err := s.looker.auditAndLook(s.t.Context(), fence.Now())
	return err
}

// Every kind of definition is compared, and what is temporary, or was rolled back, or
// is data, is none.
func TestDefinitionsAreCompared(t *testing.T) {
	t.Parallel()
	s := compared(t)
	value := func() string { return s.value("SELECT " + definitionsSQL) }
	for _, statement := range redefinitions {
		before := value()
		s.run("BEGIN", statement)
		if value() == before {
			t.Errorf("%s: not noticed", statement)
		}
		s.run("ROLLBACK")
		if value() != before {
			t.Errorf("%s: noticed although it was rolled back", statement)
		}
	}
	before := value()
	s.run("UPDATE users SET name = 'x'", "INSERT INTO plain VALUES (1)", "ANALYZE users", "VACUUM users", "VACUUM pg_class",
		"CREATE TEMP TABLE mine (id serial PRIMARY KEY, a int DEFAULT 7 CHECK (a > 1), b text)", "INSERT INTO mine VALUES (1, 7, 'x')",
		"CREATE INDEX ON mine (a)", "CREATE TEMP VIEW hers AS SELECT * FROM mine", "CREATE TEMP TABLE child () INHERITS (mine)", "DROP TABLE mine CASCADE")
	if value() != before {
		t.Error("something that defines nothing is taken for a change")
	}
}

// After a change that no event reports nothing older is served, from the look on that
// compares; a look that finds nothing new lets all be.
func TestUnreportedDefinitionsAreFound(t *testing.T) {
	t.Parallel()
	s := compared(t)
	if s.fence.Lag() != time.Hour {
		t.Errorf("the fence is told of a lag of %v", s.fence.Lag())
	}
	entry := s.load(s.spell("users/id=1", "users/*")...)
	s.run("UPDATE users SET name = 'x' WHERE id = 2", "CREATE TEMP TABLE mine (a int)")
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, true, "an entry, after what defines nothing")
	s.run("CREATE OR REPLACE VIEW v AS SELECT 3 AS one")
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, false, "an entry from before a change")
	if n := s.value("SELECT count(*) FROM freshet.outbox WHERE tags = '{schema}'"); n == "0" {
		t.Error("nobody else is told")
	}
	for _, c := range []struct{ statement, table string }{
		{"ALTER TABLE users RENAME email TO mail", "public.users"},
		{"ALTER TABLE plain DISABLE TRIGGER USER", "public.plain"},
		{"DROP TRIGGER zz_freshet_update ON base", "public.base"},
		{"CREATE TABLE parted_more PARTITION OF parted FOR VALUES FROM (1000) TO (2000)", "public.parted"},
		{"DROP TABLE orders; CREATE TABLE orders (id bigint)", "public.orders"},
	} {
		if _, ok := s.State().ByName(c.table); !ok {
			t.Fatalf("%s is not watched: nothing is tested", c.table)
		}
		s.run(c.statement)
		if err := s.compare(); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.State().ByName(c.table); ok {
			t.Errorf("%s: %s is still watched", c.statement, c.table)
		}
	}
	if _, ok := s.State().ByName("public.totals"); ok {
		t.Error("a materialized view is watched, whose refresh nobody reports")
	}
	if err := Suspend(t.Context(), s.Conn); err != nil {
		t.Fatal(err)
	}
	if err := s.compare(); err == nil {
		t.Error("a look counts while suspended")
	}
}

// Interleaving 2 of definitions.go: a head that includes a change which nobody has
// noticed is the very head of the look that notices it.
func TestHeadThatIncludesWhatNobodyNoticed(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil) // where nobody else writes
	s := db.compared()
	s.run("ALTER TABLE orders RENAME note TO notes")
	s.look() // does not compare
	entry := s.load(s.spell("users")...)
	s.wantAdmitted(entry, true, "an entry whose verdict is from before")
	if s.fence.Head().Snapshot.String() != s.value("SELECT pg_current_snapshot()") {
		t.Fatal("something else was written: nothing is tested")
	}
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, false, "an entry labelled with a head that includes the change")
}

// Interleaving 3: what is committed late is found late, though its id is old and newer
// rows were compared meanwhile.
func TestDefinitionsOfALateTransaction(t *testing.T) {
	t.Parallel()
	s := compared(t)
	late := s.connect()
	runOn(t, late, "BEGIN", "CREATE OR REPLACE VIEW v AS SELECT 3 AS one")
	s.run("CREATE SCHEMA newer")
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	entry := s.load(s.spell("users")...)
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, true, "an entry while the change is not committed")
	runOn(t, late, "COMMIT")
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, false, "an entry from before the commit")
}

// Interleaving 4: readers who allow a staleness are not shown what is older than that
// even if looks go on that do not compare, and none is published that is later than
// it may be.
func TestDefinitionsAreAsFreshAsData(t *testing.T) {
	t.Parallel()
	const bound = time.Minute
	s := compared(t)
	s.SetDefinitions(bound / 2)
	began := s.looker.definitions.began
	look := func(after time.Duration) {
		t.Helper()
		if _, _, err := s.looker.lookOnce(t.Context(), began.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	look(bound/2 - 1)
	if s.looker.definitions.began != began {
		t.Fatal("it compared already: nothing is tested")
	}
	// Somebody changes a definition right after the comparison; the follower stops.
	if at := began.Add(bound); s.fence.Fresh(at, bound) {
		t.Error("fresh although nobody has compared for longer than the bound")
	}
	if at := began.Add(bound - 1); !s.fence.Fresh(at, bound) {
		t.Error("not fresh within the bound")
	}
	look(bound / 2)
	if s.looker.definitions.began != began.Add(bound/2) {
		t.Error("a look is published that is too late not to compare")
	}
}

// The interleaving at Suspect: who suspects before a moment is read that readers
// confirm, has them wait for a comparison.
func TestSuspectedDefinitionsAreComparedByTheNextLook(t *testing.T) {
	t.Parallel()
	db := newWatched(t, redefined)
	db.run(withoutEvents)
	f := db.follow(func(o *FollowerOptions) { o.Definitions = time.Hour })
	for i := range 20 {
		f.confirmNow()
		entry := f.load(db.spell("users")...)
		db.run(fmt.Sprintf("CREATE OR REPLACE VIEW v AS SELECT %d AS one", 10+i))
		f.Suspect()
		f.confirmNow()
		f.wantAdmitted(entry, false, "an entry from before a change that was suspected")
	}
}

// A suspicion counts also where the clock shows less than Definitions, as on a machine that
// has just started.
func TestSuspicionCountsWhereTheClockHasJustBegun(t *testing.T) {
	t.Parallel()
	s := compared(t)
	began := fence.Instant(s.looker.comparedEvery / 4)
	s.looker.definitions.began = began
	entry := s.load(s.spell("users")...)
	s.run("CREATE OR REPLACE VIEW v AS SELECT 3 AS one")
	s.Suspect()
	if _, _, err := s.looker.auditAndLook(t.Context(), 2*began); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, false, "an entry from before a change that was suspected")
}

// Without anybody's suspicion a change is found as soon as definitions are compared
// next.
func TestDefinitionsAreComparedInTime(t *testing.T) {
	t.Parallel()
	db := newWatched(t, redefined)
	db.run(withoutEvents)
	f := db.follow(func(o *FollowerOptions) { o.Definitions, o.Poll = 20*time.Millisecond, 10*time.Millisecond })
	f.confirmNow()
	entry := f.load(db.spell("users")...)
	db.run("ALTER TABLE users RENAME name TO title")
	servers.Eventually(t, "the change is found", func() bool { return f.fence.Head() != nil && !f.fence.Admits(entry) })
	// The start does not know what was changed before, so others' entries count no more.
	if s := f.Stats(); s.Resets[resetStart] != 0 {
		t.Errorf("resets %v: it trusts what is older than its start", s.Resets)
	}
}

// How much less fresh definitions are than data is told by the look that relies on it:
// one that a change of the interval overtakes goes by what it began with.
func TestDefinitionsAreComparedAsOftenAsIsSaid(t *testing.T) {
	t.Parallel()
	s := compared(t)
	if lag := s.fence.Lag(); lag != time.Hour {
		t.Fatalf("lag %v", lag)
	}
	s.SetDefinitions(time.Nanosecond)
	if lag := s.fence.Lag(); lag != time.Hour {
		t.Errorf("lag %v before any look compared as often as that", lag)
	}
	entry := s.load(s.spell("users")...)
	s.run("CREATE OR REPLACE VIEW v AS SELECT 77 AS one")
	s.look()
	s.wantAdmitted(entry, false, "an entry from before the change")
	if lag := s.fence.Lag(); lag != time.Nanosecond {
		t.Errorf("lag %v after", lag)
	}
}

// Interleaving 5: who was running when event triggers were made reports nothing.
func TestEventTriggersComeBack(t *testing.T) {
	t.Parallel()
	s := compared(t)
	entry := s.load(s.spell("users")...)
	s.run("CREATE OR REPLACE VIEW v AS SELECT 3 AS one") // nobody has compared yet
	late := s.connect()
	runOn(t, late, "BEGIN", "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3'")
	s.install("public.*")
	if err := s.compare(); err != nil {
		t.Fatal(err)
	}
	s.wantAdmitted(entry, false, "an entry from before")
	if !s.State().Reported() || s.fence.Lag() == 0 {
		t.Errorf("reported %v, lag %v; want that it goes on to compare", s.State().Reported(), s.fence.Lag())
	}
	again := s.load(s.spell("users")...)
	s.look()
	s.wantAdmitted(again, true, "an entry while the transaction runs")
	runOn(t, late, "COMMIT")
	s.look()
	s.wantAdmitted(again, false, "an entry from before a commit that reported nothing")
	if s.fence.Lag() != 0 || s.looker.comparing() {
		t.Errorf("lag %v; want that nothing is compared any more", s.fence.Lag())
	}
}

// On PostgreSQL 17 and later event triggers can be switched off, for a database, a
// role or the server; before, there is no such setting.
func TestEventTriggersSwitchedOff(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	if !db.state().Reported() {
		t.Fatal("event triggers are off from the start")
	}
	if db.value("SELECT current_setting('server_version_num')::int < 170000") == "true" {
		if db.value("SELECT current_setting('event_triggers', true)") != "NULL" {
			t.Error("there is such a setting: this test should use it")
		}
		return
	}
	f := db.follow(func(o *FollowerOptions) { o.Verify, o.Definitions = 20*time.Millisecond, 20*time.Millisecond })
	entry := f.load(db.spell("users")...)
	alter := func(value string) {
		db.run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET event_triggers = " + value + "', current_database()); END $$")
	}
	alter("off")
	servers.Eventually(t, "it is noticed", func() bool { return !f.State().Reported() })
	servers.Eventually(t, "nothing older is trusted", func() bool { return f.fence.Head() != nil && !f.fence.Admits(entry) })
	if problems := f.State().Problems(); len(problems) != 1 || !strings.Contains(problems[0], "event_triggers") || len(f.State().Tables()) == 0 {
		t.Errorf("problems %v, watched %v", problems, f.State().Tables())
	}
	f.confirmNow()
	entry = f.load(db.spell("users")...)
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(silent)
	runOn(t, silent, "ALTER TABLE users RENAME name TO title")
	servers.Eventually(t, "a change that no event trigger saw is found", func() bool { return f.fence.Head() != nil && !f.fence.Admits(entry) })
	alter("on")
	servers.Eventually(t, "they are on again", func() bool { return f.State().Reported() })
}

// BenchmarkDefinitions is what comparing costs, in a database of 2 000 tables, beside
// a look that does not.
func BenchmarkDefinitions(b *testing.B) {
	pg := servers.StartPostgres(b, servers.PostgresOptions{Settings: map[string]string{"max_locks_per_transaction": "512"}})
	conn := benchConn(b, pg.DSN(pg.CreateDatabase(b)))
	benchRun(b, conn, "DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int, b text, c text, d int, e int)', i); END LOOP; END $$", "CREATE TABLE users (id int PRIMARY KEY)")
	if _, err := Install(b.Context(), conn, Options{Watch: []string{"public.users"}}); err != nil {
		b.Fatal(err)
	}
	config, err := pgx.ParseConfig(conn.Config().ConnString())
	if err != nil {
		b.Fatal(err)
	}
	session, err := connect(b.Context(), config, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer closeConn(session)
	if _, err := greet(b.Context(), session); err != nil { // begins an incarnation
		b.Fatal(err)
	}
	s, err := look(b.Context(), session, fence.Snapshot{})
	if err != nil {
		b.Fatal(err)
	}
	for name, one := range map[string]func() (*sighting, error){
		"not-compared": func() (*sighting, error) { return look(b.Context(), session, s.snapshot) },
		"nothing-new":  func() (*sighting, error) { return lookDefinitions(b.Context(), session, s.snapshot, s.at) },
		"compared":     func() (*sighting, error) { return lookDefinitions(b.Context(), session, s.snapshot, "") },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := one(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// An ordinary owner's columns are renamed and dropped, and rows hidden, where no event
// trigger is: writes, DDL and GRANT go on, what was loaded before is not served, what is
// amiss is said with its remedy, and installing again mends it.
func TestColumnsChangeUnderAnOrdinaryInstaller(t *testing.T) {
	db, owner, _ := newOwned(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.Definitions, o.Poll = 20*time.Millisecond, 10*time.Millisecond })
	f.confirmNow()
	_, watched := f.State().ByName("public.users")
	entry, hidden := f.load(db.spell("users/id=1", "users/*")...), f.load(db.spell("parted")...)
	if !watched || !f.fence.Admits(entry) || !f.fence.Admits(hidden) {
		t.Fatal("nothing is tested")
	}
	db.run("SET ROLE "+owner, "ALTER TABLE users RENAME email TO mail", "INSERT INTO users VALUES (3, 'c@x', 'C')", "UPDATE users SET mail = 'd@x' WHERE id = 3",
		"ALTER TABLE orders DROP COLUMN user_id CASCADE", "UPDATE orders SET note = 'x'", "GRANT SELECT ON users TO PUBLIC", "CREATE TABLE fresh (a int)", "DROP TABLE fresh",
		"ALTER TABLE parted DETACH PARTITION parted_low CONCURRENTLY")
	refused := func(entry *fence.Ticket) func() bool {
		return func() bool { return f.fence.Head() != nil && !f.fence.Admits(entry) }
	}
	servers.Eventually(t, "what was loaded before is not served", refused(entry))
	servers.Eventually(t, "nor what shows rows that are hidden now", refused(hidden))
	servers.Eventually(t, "the table is lost, with its remedy", func() bool {
		_, watched := f.State().ByName("public.users")
		return !watched && strings.Contains(strings.Join(f.State().Problems(), "\n"), "column email is gone; freshet install --watch public.users")
	})
	db.install("public.*")
	servers.Eventually(t, "it is watched again", func() bool { return len(f.columns("public.users")) > 0 && len(f.State().Problems()) == 1 })
	f.confirmNow()
	entry = f.load(db.spell("users/id=1", "users/*")...)
	db.run("UPDATE users SET name = 'new' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(entry, false, "an entry whose row was changed")
}
