package invalidation

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// restoreTables is how many tables TestRestoreBesideServeWatch restores.
const restoreTables = 40

// An owner who is no superuser restores tables with their grants, by psql and by
// pg_restore --clean, while serve --watch puts triggers on each as soon as it is
// there. No statement of the restore fails, and all tables are watched afterwards.
// The server is the test's own, because it makes roles.
func TestRestoreBesideServeWatch(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	source := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), "CREATE ROLE shopkeeper LOGIN", "CREATE ROLE clerk")
	for n := range restoreTables {
		source.run(fmt.Sprintf(`CREATE TABLE t_%[1]d (id int PRIMARY KEY, n int); CREATE INDEX ON t_%[1]d (n); INSERT INTO t_%[1]d VALUES (1, 1);
			ALTER TABLE t_%[1]d OWNER TO shopkeeper; GRANT SELECT, INSERT ON t_%[1]d TO clerk; GRANT UPDATE (n) ON t_%[1]d TO PUBLIC`, n))
	}
	target := pg.CreateDatabase(t)
	db := openDatabase(t, pg.DSN(target), "CREATE TABLE first (id int PRIMARY KEY)",
		"ALTER DATABASE "+identifier(target)+" OWNER TO shopkeeper", "GRANT CREATE ON SCHEMA public TO shopkeeper")
	db.install("public.*")
	f := db.follow(watching("public.*"))
	owner := strings.Replace(db.dsn, "user="+superuser, "user=shopkeeper", 1)
	dir := t.TempDir()
	script, archive := filepath.Join(dir, "tables.sql"), filepath.Join(dir, "tables.dump")
	run := func(tool string, arguments ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), filepath.Join(pg.BinDir(), tool), arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, out)
		}
	}
	run("pg_dump", "-Fp", "-t", "public.t_*", "-f", script, source.dsn)
	run("pg_dump", "-Fc", "-t", "public.t_*", "-f", archive, source.dsn)
	// As of a look that began behind the restore: before it the tables of a restore before count.
	allWatched := func() bool {
		f.confirmNow()
		return len(f.State().Tables()) == restoreTables+1
	}
	run("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", script, owner)
	servers.Eventually(t, "what psql restored is watched", allWatched)
	for range 2 {
		run("pg_restore", "--clean", "--exit-on-error", "-d", owner, archive)
	}
	servers.Eventually(t, "what pg_restore restored is watched", allWatched)
	if n := db.value("SELECT count(*) FROM pg_class c WHERE c.relname ~ '^t_[0-9]+$' AND has_table_privilege('clerk', c.oid, 'SELECT') AND has_table_privilege('clerk', c.oid, 'INSERT')"); n != fmt.Sprint(restoreTables) {
		t.Errorf("the clerk may read %s tables, want %d", n, restoreTables)
	}
}

// A database that is dropped and made anew under its name has nothing of ours any
// more. serve --watch installs in it and serves it, and nothing that was loaded from
// the one before.
func TestDatabaseMadeAnewIsServedAgain(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	former := newDatabase(t, shop)
	former.install("public.*")
	f := former.follow(watching("public.*"))
	before := f.reads("users/id=1")
	f.wantAdmitted(before, true, "what was loaded from the former database")
	name := former.value("SELECT current_database()")
	admin := openDatabase(t, pg.DSN("postgres"))
	// Our own connections are in the way of DROP DATABASE, as anybody's are.
	if _, err := admin.Exec(t.Context(), "DROP DATABASE "+name); sqlState(err) != "55006" {
		t.Errorf("DROP DATABASE without FORCE: %v", err)
	}
	admin.run("DROP DATABASE "+name+" WITH (FORCE)", "CREATE DATABASE "+name)
	f.database = openDatabase(t, former.dsn, shop)
	servers.Eventually(t, "the new database is watched", func() bool {
		_, watched := f.State().ByName("public.users")
		return watched && f.serves(f.reads("users/id=1"))
	})
	f.wantAdmitted(before, false, "what was loaded from the former database")
	after := f.reads("users/id=1")
	f.run("UPDATE users SET name = 'x' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(after, false, "after a write")
}
