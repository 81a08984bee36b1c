package invalidation

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/loadtest/servers"
)

func (r Report) columns(table string) []string {
	for _, t := range r.Watched {
		if t.Schema+"."+t.Name == table {
			return t.Columns
		}
	}
	return nil
}

func (r Report) reason(table string) string {
	for _, s := range r.Skipped {
		if s.Schema+"."+s.Name == table {
			return s.Reason
		}
	}
	return ""
}

func TestInstallIsIdempotent(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Fatalf("after installing: %v", problems)
	}
	before := db.value("SELECT count(*) FROM freshet.outbox")
	catalogBefore, _, err := readCatalog(t.Context(), db.Conn)
	if err != nil {
		t.Fatal(err)
	}
	report := db.install("public.*")
	for _, w := range report.Watched {
		if w.Changed {
			t.Errorf("installed again: %+v", w)
		}
	}
	if after := db.value("SELECT count(*) FROM freshet.outbox"); after != before {
		t.Errorf("installing again wrote events: %s before, %s after", before, after)
	}
	if catalogAfter, _, err := readCatalog(t.Context(), db.Conn); err != nil || catalogAfter != catalogBefore {
		t.Errorf("installing again changed the catalog (%v):\n%s\n%s", err, catalogBefore, catalogAfter)
	}
}

func TestChosenColumns(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, `
		CREATE TABLE wide (z int PRIMARY KEY, a int UNIQUE, b int, c text, d date, e text COLLATE "C", f jsonb, g int REFERENCES users, h int, i int);
		CREATE INDEX ON wide (b) INCLUDE (h); CREATE INDEX ON wide USING hash (i); CREATE INDEX ON wide (c, e, d); CREATE INDEX ON wide USING gin (f);
		CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false);
		CREATE TABLE loose (id int PRIMARY KEY, k text COLLATE loose UNIQUE);
		CREATE TABLE many (a int, b int, c int, d int, e int, f int, g int, h int, i int, j int PRIMARY KEY);
		CREATE INDEX ON many (a, b, c, d, e, f, g, h, i)`)
	report := db.install("public.*")
	for table, want := range map[string][]string{
		"public.wide":  {"z", "a", "b", "c", "e", "g"},
		"public.loose": {"id"},
		"public.many":  {"j", "a", "b", "c", "d", "e", "f", "g"},
		"public.plain": {},
	} {
		if got := report.columns(table); !slices.Equal(got, want) {
			t.Errorf("%s: columns %q were chosen, want %q", table, got, want)
		}
	}
	if report := db.install("public.loose(k)"); report.reason("public.loose") == "" {
		t.Error("a column under a nondeterministic collation was accepted")
	}
	if report := db.install("public.users(name, nothing)"); !strings.Contains(report.reason("public.users"), "nothing") {
		t.Errorf("a missing column was accepted: %+v", report)
	}
}

func TestSkippedTables(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, `
		CREATE TABLE t (a int); CREATE VIEW v AS SELECT * FROM t; CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
		CREATE UNLOGGED TABLE u (a int); CREATE TEMP TABLE tmp (a int);
		CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw; CREATE FOREIGN TABLE f (a int) SERVER s;
		CREATE TABLE mixed (a int) PARTITION BY RANGE (a); CREATE FOREIGN TABLE mixed_f PARTITION OF mixed DEFAULT SERVER s;
		CREATE TABLE p1 (a int); CREATE TABLE p2 (a int); CREATE TABLE two () INHERITS (p1, p2)`)
	report := db.install("*.*")
	state := db.state()
	for _, name := range []string{"public.t", "public.u", "public.m"} {
		if _, ok := state.ByName(name); !ok {
			t.Errorf("%s is not watched", name)
		}
	}
	for _, name := range []string{"public.v", "public.f", "public.mixed", "public.p1", "public.p2"} {
		if _, ok := state.ByName(name); ok || report.reason(name) == "" {
			t.Errorf("%s is watched: %v, reason for skipping it: %q", name, ok, report.reason(name))
		}
	}
	for _, name := range []string{"public.mixed_f", "public.two", "freshet.outbox", "pg_catalog.pg_class"} {
		if _, ok := state.ByName(name); ok {
			t.Errorf("%s is watched", name)
		}
	}
	if len(state.Problems()) > 0 {
		t.Errorf("what was skipped is no problem: %v", state.Problems())
	}
}

func TestConcurrentInstallers(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	var group errgroup.Group
	for range 6 {
		conn := db.connect()
		group.Go(func() error {
			_, err := Install(t.Context(), conn, Options{Watch: []string{"public.*"}})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if state := db.state(); len(state.Problems()) > 0 || len(state.Tables()) != 9 {
		t.Errorf("watched %v, problems %v", state.Tables(), state.Problems())
	}
}

func TestReinstallWithOtherColumns(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	db.install("public.users(name)")
	db.wantTags([][]string{{"users", "users/name=C"}}, "INSERT INTO users VALUES (3, 'c@x', 'C')")
	if table, _ := db.state().ByName("public.users"); !slices.Equal(table.Columns, []string{"name"}) {
		t.Errorf("watched columns are %q, want name", table.Columns)
	}
	if n := db.value("SELECT count(*) FROM pg_proc WHERE proname LIKE 'capture%'"); n != "1" {
		t.Errorf("%s trigger functions are left, want 1", n)
	}
	patterns, err := parsePatterns([]string{"public.*", "public.users(email)"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := preparePlan(t.Context(), db.Conn, patterns, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.trees, func(t treePlan) bool { return t.root.Name == "users" })
	if got := p.trees[i].columns; !slices.Equal(got, []string{"name", "email"}) {
		t.Errorf("extending keeps and adds columns: %q, want name and email", got)
	}
}

// The snapshot of an older transaction must not matter: its write runs the
// triggers of now.
func TestOlderTransactionFiresNewTriggers(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users(id)")
	old := db.connect()
	runOn(t, old, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM plain")
	db.install("public.users(id, email)")
	runOn(t, old, "UPDATE users SET name = 'late' WHERE id = 1", "COMMIT")
	want := strings.Join(db.spell("users/email=a@x"), "")
	if n := db.value("SELECT count(*) FROM freshet.outbox WHERE $1 = ANY (tags)", want); n != "1" {
		t.Errorf("the older transaction wrote %s events with the new column, want 1", n)
	}
}

func TestLockedTableIsSkippedAndWritersGoOn(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	holder := db.connect()
	runOn(t, holder, "BEGIN", "UPDATE users SET name = 'x' WHERE id = 1")
	report := db.install("public.users", "public.plain")
	if report.reason("public.users") == "" || report.columns("public.plain") == nil && len(report.Watched) != 1 {
		t.Errorf("report %+v, want users skipped and plain watched", report)
	}
	if _, ok := db.state().ByName("public.users"); ok {
		t.Error("the locked table counts as watched")
	}
	runOn(t, holder, "COMMIT")
	if report := db.install("public.users"); len(report.Watched) != 1 {
		t.Errorf("report %+v after the lock was gone", report)
	}
}

// This test makes a role; see TestOrdinaryRoleNeedsNoRights.
func TestInstallSaysWhichRightsItNeeds(t *testing.T) {
	db := newRolesDatabase(t, shop)
	role := "owner_" + db.value("SELECT current_database()")
	db.run("CREATE ROLE "+role, "GRANT CREATE ON DATABASE "+db.value("SELECT current_database()")+" TO "+role)
	defer func() { db.run("RESET ROLE", "DROP OWNED BY "+role+" CASCADE", "DROP ROLE "+role) }()
	db.run("SET ROLE " + role)
	_, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}})
	if err == nil || !strings.Contains(err.Error(), "superuser") {
		t.Errorf("without rights: %v, want an error that says what is needed", err)
	}
	if got := db.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet'"); got != "0" {
		t.Error("something was left behind")
	}
	db.run("CREATE SCHEMA freshet", "RESET ROLE")
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); err == nil || !strings.Contains(err.Error(), role) {
		t.Errorf("into a stranger's schema: %v, want a refusal that names the owner", err)
	}
}

func TestScriptDoesWhatInstallDoes(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	db := newDatabase(t, shop, `CREATE VIEW v AS SELECT 1 AS one`)
	script, err := Script(t.Context(), db.Conn, Options{Watch: []string{"public.*"}})
	if err != nil {
		t.Fatal(err)
	}
	if db.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet'") != "0" {
		t.Fatal("printing the script installed something")
	}
	file := filepath.Join(t.TempDir(), "install.sql")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(pg.BinDir(), "psql"), "-X", "-q", "-f", file, db.dsn).CombinedOutput(); err != nil {
		t.Fatalf("run the script: %v\n%s", err, out)
	}
	if state := db.state(); len(state.Problems()) > 0 || len(state.Tables()) != 9 {
		t.Errorf("the script watches %v, problems %v", state.Tables(), state.Problems())
	}
	for _, w := range db.install("public.*").Watched {
		if w.Changed {
			t.Errorf("after the script there was something to do for %+v", w)
		}
	}
}

func TestUninstallLeavesNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, `CREATE SCHEMA "other one"; CREATE TABLE "other one"."t""t" (a int)`)
	const leftovers = `SELECT count(*) FROM (
		SELECT tgname::text FROM pg_trigger WHERE tgname LIKE '%freshet%'
		UNION ALL SELECT proname FROM pg_proc WHERE prosrc LIKE '%freshet%' AND pronamespace <> 'pg_catalog'::regnamespace
		UNION ALL SELECT evtname FROM pg_event_trigger
		UNION ALL SELECT nspname FROM pg_namespace WHERE nspname LIKE '%freshet%'
		UNION ALL SELECT relname FROM pg_class WHERE relname LIKE '%outbox%') l`
	if err := Uninstall(t.Context(), db.Conn); err != nil {
		t.Errorf("uninstall where nothing is: %v", err)
	}
	db.install("*.*")
	if err := Uninstall(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	if n := db.value(leftovers); n != "0" {
		t.Errorf("%s objects are left", n)
	}
	db.run("INSERT INTO users VALUES (9)", "CREATE TABLE later (a int)", "DROP TABLE later")
	if report := db.install("public.*"); len(report.Watched) == 0 {
		t.Error("nothing could be installed again")
	}
}

// After a dump and a restore, OIDs differ, and with them the tags.
func TestRestoredDumpIsRepaired(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	db := newWatched(t, shop)
	db.run("INSERT INTO freshet.incarnation (token) VALUES ('dumped')", "DELETE FROM users WHERE id = 1")
	dump := filepath.Join(t.TempDir(), "dump.sql")
	run := func(tool string, arguments ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), filepath.Join(pg.BinDir(), tool), arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, out)
		}
	}
	run("pg_dump", "-f", dump, db.dsn)
	other := newDatabase(t, "CREATE TABLE shifts_the_oids (a int)")
	run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, other.dsn)
	state := other.state()
	if _, ok := state.ByName("public.users"); ok || len(state.Problems()) == 0 {
		t.Fatalf("the restored triggers, which write the old OIDs, count as right; problems %v", state.Problems())
	}
	if a, b := db.value("SELECT freshet.incarnation()"), other.value("SELECT freshet.incarnation()"); a == b {
		t.Errorf("both databases are incarnation %s", a)
	}
	other.install("public.*")
	if state := other.state(); len(state.Problems()) > 0 {
		t.Errorf("after installing again: %v", state.Problems())
	}
	other.wantTags([][]string{{"users", "users/id=3"}}, "INSERT INTO users VALUES (3)")
}

func TestUninstallWhileTableIsLocked(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.users")
	holder := db.connect()
	runOn(t, holder, "BEGIN", "UPDATE users SET name = 'x' WHERE id = 1")
	if err := Uninstall(t.Context(), db.Conn); err == nil {
		t.Error("the triggers of a locked table were removed")
	}
	runOn(t, holder, "COMMIT")
	if err := Uninstall(t.Context(), db.Conn); err != nil {
		t.Error(err)
	}
}
