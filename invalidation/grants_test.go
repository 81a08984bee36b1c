package invalidation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// armingOf returns the statements that put triggers on one table of the database.
func (db *database) armingOf(table string) string {
	db.t.Helper()
	patterns, err := parsePatterns([]string{table})
	if err != nil {
		db.t.Fatal(err)
	}
	p, err := preparePlan(db.t.Context(), db.Conn, patterns, nil, true)
	if err != nil || len(p.trees) != 1 || len(p.trees[0].missing) != 1 {
		db.t.Fatalf("%v: %+v", err, p)
	}
	tree := p.trees[0]
	return stepSettingsSQL + ";" + tree.functionsSQL() + tree.triggersSQL(tree.missing[0].relationName, tree.missing[0].kind)
}

// The interleavings of putting triggers on a table, which changes its row in
// pg_class the first time, with a GRANT, which changes the same row and takes no
// lock on the table:
//
//  1. we have changed the row, and not committed
//  2. GRANT reads the row as it was before, and waits for us to change it
//  3. we commit, and GRANT fails with "tuple concurrently updated"
//
// So GRANT has to wait before it reads.
func TestGrantWaitsUntilTriggersAreInPlace(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE first (id int PRIMARY KEY)")
	db.install("public.*")
	db.run("CREATE TABLE fresh (id int PRIMARY KEY)")
	arming := db.armingOf("public.fresh")
	installer, granter := db.connect(), db.connect()
	runOn(t, installer, "BEGIN", arming)
	granted := make(chan error, 1)
	go func() {
		_, err := granter.Exec(context.Background(), "GRANT SELECT ON fresh TO PUBLIC")
		granted <- err
	}()
	servers.Eventually(t, "GRANT waits", func() bool {
		return db.value("SELECT wait_event_type FROM pg_stat_activity WHERE pid = "+fmt.Sprint(granter.PgConn().PID())) == "Lock"
	})
	runOn(t, installer, "COMMIT")
	if err := <-granted; err != nil {
		t.Errorf("GRANT beside an installer: %v", err)
	}
	if got := db.value("SELECT has_table_privilege('public', 'fresh', 'SELECT') AND relhastriggers FROM pg_class WHERE relname = 'fresh'"); got != "true" {
		t.Error("one of the two is not in place")
	}
}

// Whoever granted and has not committed is waited for, and installing is tried
// again: it fails, not the GRANT. Nobody else waits for long meanwhile.
func TestInstallGivesWayToAGrant(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE fresh (id int PRIMARY KEY)")
	granter, installer := db.connect(), db.connect()
	runOn(t, granter, "BEGIN", "GRANT SELECT ON fresh TO PUBLIC")
	installed := make(chan error, 1)
	go func() {
		report, err := Install(context.Background(), installer, Options{Watch: []string{"public.*"}, Wait: waitMax})
		if err == nil && len(report.Skipped) > 0 {
			err = fmt.Errorf("skipped: %+v", report.Skipped)
		}
		installed <- err
	}()
	servers.Eventually(t, "the installer waits", func() bool {
		return strings.HasPrefix(db.value("SELECT concat(wait_event_type, ' ', wait_event) FROM pg_stat_activity WHERE pid = "+fmt.Sprint(installer.PgConn().PID())), "Lock")
	})
	runOn(t, granter, "GRANT INSERT ON fresh TO PUBLIC", "COMMIT")
	if err := <-installed; err != nil {
		t.Error(err)
	}
	if got := db.value("SELECT has_table_privilege('public', 'fresh', 'SELECT') AND has_table_privilege('public', 'fresh', 'INSERT') AND relhastriggers FROM pg_class WHERE relname = 'fresh'"); got != "true" {
		t.Error("one of them is not in place")
	}
}

// grantTables is how many tables each session of TestGrantsNeverFail makes. 250 make
// three thousand statements.
const grantTables = 20

// No statement of others fails beside serve --watch, which puts triggers on each
// table as soon as it is there.
func TestGrantsNeverFail(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE first (id int PRIMARY KEY)")
	db.install("public.*")
	f := db.follow(watching("public.*"))
	var sessions errgroup.Group
	for session := range 3 {
		conn := db.connect()
		random := rand.New(rand.NewPCG(1, uint64(session)))
		sessions.Go(func() error {
			for n := range grantTables {
				name := fmt.Sprintf("t_%d_%d", session, n)
				for i, statement := range []string{
					"CREATE TABLE %s (id int PRIMARY KEY, n int)", "GRANT SELECT ON %s TO PUBLIC", "GRANT INSERT ON %s TO PUBLIC", "REVOKE SELECT ON %s FROM PUBLIC",
					"ALTER TABLE %s ADD c int", "CREATE INDEX ON %s (n)", "COMMENT ON TABLE %s IS 'x'", "GRANT UPDATE (n) ON %s TO PUBLIC", "ANALYZE %s", "REVOKE ALL ON %s FROM PUBLIC",
				} {
					if _, err := conn.Exec(context.Background(), fmt.Sprintf(statement, name)); err != nil {
						return fmt.Errorf("%s: %w", fmt.Sprintf(statement, name), err)
					}
					if i == 0 {
						time.Sleep(time.Duration(random.Int64N(int64(10 * time.Millisecond))))
					}
				}
			}
			return nil
		})
	}
	if err := sessions.Wait(); err != nil {
		t.Error(err)
	}
	servers.Eventually(t, "all tables are watched", func() bool { return len(f.State().Tables()) == 3*grantTables+1 })
}

// A role that may install and is no superuser cannot keep a GRANT waiting, and
// leaves tables without triggers alone until nobody has changed them for a while.
func TestYoungTablesAreLeftAlone(t *testing.T) {
	t.Parallel()
	table := unarmed{oid: 1, version: "10"}
	k := &keeper{}
	left := func(at time.Duration, tables ...unarmed) bool {
		p := &plan{trees: []treePlan{{missing: tables}}}
		return k.leaveYoung(p, fence.Instant(0).Add(at)) && len(p.trees) == 0
	}
	if !left(0, table) || !left(quietPeriod-1, table) || left(quietPeriod, table) {
		t.Error("a table is not left alone for the quiet period")
	}
	table.version = "11"
	if !left(quietPeriod, table) || !left(2*quietPeriod-1, table) || left(2*quietPeriod, table) {
		t.Error("a table that changed is not left alone for another quiet period")
	}
	if left(2*quietPeriod, unarmed{oid: 2}) {
		t.Error("a table that had triggers before has to wait")
	}
	if !left(2*quietPeriod, table, unarmed{oid: 3, version: "1"}) {
		t.Error("a tree with a young partition is not left alone")
	}
	if ok, err := holdsGrants(t.Context(), newDatabase(t).Conn); err != nil || !ok {
		t.Errorf("a superuser may lock the catalog: %v, %v", ok, err)
	}
}
