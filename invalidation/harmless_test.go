package invalidation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// damages are what can be done by hand to what Freshet made, by name.
func damages() map[string]string {
	all := map[string]string{
		"schema dropped": "DROP SCHEMA freshet CASCADE",
		"schema renamed": "ALTER SCHEMA freshet RENAME TO elsewhere",

		"outbox: a default that raises":       "CREATE FUNCTION raising() RETURNS pg_lsn LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$; ALTER TABLE freshet.outbox ALTER written SET DEFAULT raising()",
		"outbox: another default":             "ALTER TABLE freshet.outbox ALTER xid SET DEFAULT '77'",
		"outbox: no default":                  "ALTER TABLE freshet.outbox ALTER written DROP DEFAULT",
		"outbox: a column more":               "TRUNCATE freshet.outbox; ALTER TABLE freshet.outbox ADD more int NOT NULL",
		"outbox: a column less":               "ALTER TABLE freshet.outbox DROP tags",
		"outbox: a column renamed":            "ALTER TABLE freshet.outbox RENAME tags TO tag",
		"outbox: a check":                     "TRUNCATE freshet.outbox; ALTER TABLE freshet.outbox ADD CHECK (false)",
		"outbox: no key":                      "ALTER TABLE freshet.outbox DROP CONSTRAINT outbox_pkey",
		"outbox: another key":                 "TRUNCATE freshet.outbox; CREATE UNIQUE INDEX ON freshet.outbox ((1))",
		"outbox: a trigger that raises":       "CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$; CREATE TRIGGER t BEFORE INSERT ON freshet.outbox FOR EACH ROW EXECUTE FUNCTION raising()",
		"outbox: a trigger that drops rows":   "CREATE FUNCTION dropping() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$; CREATE TRIGGER t BEFORE INSERT ON freshet.outbox FOR EACH ROW EXECUTE FUNCTION dropping()",
		"outbox: a rule that drops rows":      "CREATE RULE r AS ON INSERT TO freshet.outbox DO INSTEAD NOTHING",
		"outbox: row security":                "ALTER TABLE freshet.outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
		"outbox: unlogged":                    "ALTER TABLE freshet.outbox SET UNLOGGED",
		"outbox: a view in its place":         "DROP TABLE freshet.outbox; CREATE VIEW freshet.outbox AS SELECT '7'::xid8 AS xid, '0/0'::pg_lsn AS written, '{}'::text[] AS tags",
		"outbox: partitioned":                 "DROP TABLE freshet.outbox; CREATE TABLE freshet.outbox (xid xid8, written pg_lsn, tags text[]) PARTITION BY LIST (tags)",
		"outbox: emptied and then written to": "TRUNCATE freshet.outbox",
		"incarnation: a second one":           "ALTER TABLE freshet.incarnation DROP CONSTRAINT incarnation_pkey, DROP CONSTRAINT incarnation_one_check; INSERT INTO freshet.incarnation VALUES (false, 'x')",
		"incarnation: logged":                 "ALTER TABLE freshet.incarnation SET LOGGED",
		"every table emptied":                 "TRUNCATE freshet.outbox, freshet.incarnation, freshet.incarnation_logged, freshet.trim, freshet.fingerprint, freshet.distrusted",
		"every table dropped":                 "DROP TABLE freshet.outbox, freshet.incarnation, freshet.incarnation_logged, freshet.trim, freshet.fingerprint, freshet.distrusted",
	}
	all["given_up dropped"] = "DROP SEQUENCE freshet.given_up"
	for _, table := range fixedTables {
		name := "freshet." + table.Name
		if table.Kind != "r" {
			continue
		}
		all[table.Name+" dropped"] = "DROP TABLE " + name
		all[table.Name+" emptied"] = "TRUNCATE " + name
		all[table.Name+" owned by another"] = "ALTER TABLE " + name + " OWNER TO pg_monitor; REVOKE ALL ON " + name + " FROM pg_monitor"
		if table.Name == "distrusted" || table.Name == "fingerprint" || table.Name == "incarnation_logged" {
			continue
		}
		all[table.Name+" deleted from"] = "DELETE FROM " + name
		all[table.Name+" renamed"] = "ALTER TABLE " + name + " RENAME TO another"
		all[table.Name+" moved"] = "ALTER TABLE " + name + " SET SCHEMA public"
	}
	for name := range fixedFunctions {
		all["function "+name+" dropped"] = "DROP FUNCTION freshet." + name + " CASCADE"
		all["function "+name+" renamed"] = "ALTER FUNCTION freshet." + name + " RENAME TO another_" + name
		all["function "+name+" owned by another"] = "ALTER FUNCTION freshet." + name + " OWNER TO pg_monitor"
	}
	for _, event := range fixedEvents {
		all["event trigger "+event.name+" dropped"] = "DROP EVENT TRIGGER " + event.name
		all["event trigger "+event.name+" disabled"] = "ALTER EVENT TRIGGER " + event.name + " DISABLE"
		all["event trigger "+event.name+" renamed"] = "ALTER EVENT TRIGGER " + event.name + " RENAME TO another"
	}
	const captures = `DO $$ DECLARE f regprocedure; BEGIN
		FOR f IN SELECT oid FROM pg_proc WHERE proname LIKE 'capture%%' LOOP EXECUTE format('%s', f); END LOOP; END $$`
	all["capture functions dropped"] = fmt.Sprintf(captures, "DROP FUNCTION %s CASCADE")
	all["capture functions owned by another"] = fmt.Sprintf(captures, "ALTER FUNCTION %s OWNER TO pg_monitor")
	return all
}

// usersWrites and usersDefinitions are what must work whatever was done to our
// objects.
var (
	usersWrites = []string{
		"INSERT INTO users VALUES (3, 'c@x', 'C')", "UPDATE users SET name = name || '!' WHERE id = 1", "DELETE FROM users WHERE id = 3",
		"TRUNCATE plain", "INSERT INTO parted VALUES (20), (2)", "DELETE FROM parted WHERE id IN (20, 2)", "COPY plain (a) FROM PROGRAM 'echo 1'",
	}
	usersDefinitions = []string{
		"CREATE TABLE fresh (a int)", "GRANT SELECT ON fresh TO PUBLIC", "ALTER TABLE fresh ADD b int", "REVOKE ALL ON fresh FROM PUBLIC",
		"ALTER TABLE users RENAME name TO title", "ALTER TABLE users RENAME title TO name", "DROP TABLE fresh", "REFRESH MATERIALIZED VIEW totals",
	}
)

const withoutEvents = "DROP EVENT TRIGGER IF EXISTS freshet_ddl_start; DROP EVENT TRIGGER IF EXISTS freshet_ddl_end; DROP EVENT TRIGGER IF EXISTS freshet_drop"

// Whatever is done to our objects, the users' commands work, what was loaded before
// them is not served after them, and installing again makes all right.
func TestWhateverIsDoneToOurObjects(t *testing.T) {
	t.Parallel()
	const databases = 12
	type done struct {
		name   string
		events bool
	}
	all := damages()
	var cases []done
	for _, name := range slices.Sorted(maps.Keys(all)) {
		cases = append(cases, done{name, true})
		if !strings.HasPrefix(name, "event") && !strings.HasPrefix(name, "function") {
			cases = append(cases, done{name, false})
		}
	}
	for i := range databases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := newWatched(t, shop, "CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS n FROM orders GROUP BY 1")
			f := db.follow(func(o *FollowerOptions) { o.Verify = 500 * time.Millisecond })
			for j := i; j < len(cases); j += databases {
				c := cases[j]
				t.Run(fmt.Sprintf("%s, event triggers %v", c.name, c.events), func(t *testing.T) { f.survives(t, all[c.name], c.events) })
			}
		})
	}
}

// survives damages what is installed, lets users do their work, and repairs it.
func (f followed) survives(t *testing.T, damage string, events bool) {
	db := *f.database
	db.t, f.database = t, &db
	db.run("ROLLBACK") // of one that failed
	f.confirmNow()
	before := f.reads("users/id=1")
	if !events {
		db.run(withoutEvents)
	}
	db.run("BEGIN", "SAVEPOINT s", damage)
	db.run(usersWrites...)
	db.run("ROLLBACK")
	db.run(damage)
	between := f.reads("users/id=1")
	db.run(usersWrites...)
	servers.Eventually(t, "nothing from before the writes is served", func() bool { return !f.serves(before) && !f.serves(between) })
	db.run(usersDefinitions...)
	db.run("DROP TABLE IF EXISTS freshet.another, public.outbox, public.incarnation, public.incarnation_logged, public.trim, public.fingerprint",
		"DROP FUNCTION IF EXISTS raising, dropping CASCADE", "DROP SCHEMA IF EXISTS elsewhere CASCADE", "DROP EVENT TRIGGER IF EXISTS another")
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Fatalf("after installing again: %v", problems)
	}
	servers.Eventually(t, "the follower follows again", func() bool {
		_, watched := f.State().ByName("public.users")
		return watched && f.Confirm(t.Context(), fence.Now()) == nil
	})
	f.wantAdmitted(before, false, "what was loaded before, after the repair")
	f.wantAdmitted(between, false, "what was loaded in between, after the repair")
	f.Suspect() // whose owner and rights the repair has changed, audits find at any time
	f.confirmNow()
	after := f.reads("users/id=1")
	f.wantAdmitted(after, true, "what was loaded after the repair")
	db.run(usersWrites...)
	f.confirmNow()
	f.wantAdmitted(after, false, "after a write")
}

// serves reports whether an entry would be an answer now.
func (f *followed) serves(entry *fence.Ticket) bool {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	if f.Confirm(ctx, fence.Now()) != nil {
		return false
	}
	_, watched := f.State().ByName("public.users")
	return watched && f.fence.Admits(entry)
}

// Where event triggers are missing nobody takes off the triggers that name a column
// which is gone: they go on, with wider tags, and the table is no longer watched.
func TestColumnsChangeWithoutEventTriggers(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run(withoutEvents)
	users, parted := db.spell("users", "users/*")[0], db.spell("parted")[0]
	db.run("BEGIN", "UPDATE users SET name = 'x'", "ALTER TABLE users RENAME email TO mail", "UPDATE users SET name = 'y'", "COMMIT",
		"ALTER TABLE parted RENAME id TO number", "INSERT INTO parted_leaf VALUES (30)", "INSERT INTO parted VALUES (31)",
		"ALTER TABLE orders DROP COLUMN user_id CASCADE", "UPDATE orders SET note = 'x'")
	for root, want := range map[string]string{users: "1", parted: "2"} {
		if got := db.value("SELECT count(*) FROM freshet.outbox WHERE tags = ARRAY[$1, $1 || '/*', 'schema']", root); got != want {
			t.Errorf("table %s: %s events of everything, want %s", root, got, want)
		}
	}
	state := db.state()
	if problems := strings.Join(state.Problems(), "\n"); !strings.Contains(problems, "event trigger") {
		t.Errorf("problems are %s", problems)
	}
	text, at, err := readCatalog(t.Context(), db.Conn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCatalog(text)
	if err != nil {
		t.Fatal(err)
	}
	trees, root := c.trees(), db.oid("users")
	i := slices.IndexFunc(trees, func(tree tree) bool { return tree.root == root })
	if i < 0 {
		t.Fatalf("at %s users is in no tree of the catalog", at)
	}
	if _, _, err := trees[i].verify(nil); err == nil || !strings.Contains(err.Error(), "column email is gone; freshet install --watch public.users") {
		t.Errorf("at %s users is in order, or the reason is another: %v", at, err)
	}
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Errorf("after installing again: %v", problems)
	}
}

// A transaction has room for 64 blocks of its own before it slows down others.
func TestLongTransactionsUseFewBlocks(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("BEGIN", "INSERT INTO users VALUES (100)")
	for range 3 * blocksMax {
		db.run("UPDATE users SET name = name || '.' WHERE id = 100")
	}
	db.run("COMMIT")
	// Rows that a block wrote are of its own id.
	if used := db.value("SELECT count(DISTINCT xmin::text) - 1 FROM freshet.outbox WHERE xid = (SELECT max(xid) FROM freshet.outbox)"); used != fmt.Sprint(blocksMax) {
		t.Errorf("the transaction used %s ids of its own blocks, want %d", used, blocksMax)
	}
	if n := db.value("SELECT count(*) FROM freshet.outbox WHERE xid = (SELECT max(xid) FROM freshet.outbox)"); n != fmt.Sprint(3*blocksMax+1) {
		t.Errorf("%s events, want one for each statement", n)
	}
}

// Who writes is told, once, what is wrong and what to do.
func TestWhoWritesHearsWhatIsWrong(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	var notices []*pgconn.Notice
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	db.run("DROP TABLE freshet.outbox")
	runOn(t, conn, "DELETE FROM orders", "DELETE FROM users", "CREATE TABLE more (a int)")
	if len(notices) != 1 || notices[0].Severity != "WARNING" || !strings.Contains(notices[0].Hint, "freshet install") {
		t.Errorf("notices %+v, want one warning that names the remedy", notices)
	}
}
