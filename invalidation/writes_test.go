package invalidation

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// The tests of this file go through the ways to change what a query answers, by
// the numbers of the list of cases. They look at the outcome: an entry that was
// loaded before is not admitted once a look that began after the write is done.

// reads makes an entry, loaded now, of a query that depends on texts of a table
// and on its definition, as every query does.
func (f *followed) reads(texts ...string) *fence.Ticket {
	f.t.Helper()
	all := append(f.spell(texts...), fence.SchemaText)
	for _, text := range texts {
		table, _, _ := strings.Cut(text, "/")
		all = append(all, fence.RelationSchemaText(f.oid(table)), fence.WholesaleText(f.oid(table)))
	}
	return f.load(all...)
}

// writing is one way to write: what it ends and, unless empty, what it does not.
type writing struct {
	name, statement string
	ends            []string
	spares          []string
}

// wantWritings runs each statement for good and looks at the entries.
func (f *followed) wantWritings(cases []writing) {
	f.t.Helper()
	for _, c := range cases {
		f.confirmNow()
		var ended, spared []*fence.Ticket
		for _, text := range c.ends {
			ended = append(ended, f.reads(text))
		}
		for _, text := range c.spares {
			spared = append(spared, f.reads(text))
		}
		f.run(c.statement)
		f.confirmNow()
		for i, entry := range ended {
			f.wantAdmitted(entry, false, c.name+": an entry of "+c.ends[i])
		}
		for i, entry := range spared {
			f.wantAdmitted(entry, true, c.name+": an entry of "+c.spares[i])
		}
	}
}

func TestCase17MaterializedViews(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, "CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) AS n FROM orders GROUP BY 1", "CREATE UNIQUE INDEX ON totals (user_id)",
		"CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql AS 'BEGIN REFRESH MATERIALIZED VIEW totals; END'")
	db.install("public.*")
	db.follow(nil).wantWritings([]writing{
		{"a write below it", "DELETE FROM orders WHERE id = 12", []string{"orders/id=12"}, []string{"totals"}},
		{"REFRESH", "REFRESH MATERIALIZED VIEW totals", []string{"totals"}, []string{"orders"}},
		{"REFRESH CONCURRENTLY", "REFRESH MATERIALIZED VIEW CONCURRENTLY totals", []string{"totals"}, []string{"orders"}},
		{"REFRESH in a function", "SELECT again()", []string{"totals"}, []string{"orders"}},
		{"REFRESH WITH NO DATA", "REFRESH MATERIALIZED VIEW totals WITH NO DATA", []string{"totals"}, []string{"orders"}},
	})
}

func TestCase18Partitions(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, "CREATE TABLE more (LIKE parted INCLUDING ALL)", "INSERT INTO more VALUES (1001, 'attached')")
	db.install("public.*")
	f := db.follow(nil)
	f.wantWritings([]writing{
		{"insert through the root", "INSERT INTO parted VALUES (20)", []string{"parted/id=20", "parted"}, []string{"parted/id=1"}},
		{"insert through the leaf", "INSERT INTO parted_leaf VALUES (21)", []string{"parted/id=21", "parted"}, []string{"parted/id=1"}},
		{"update through the middle", "UPDATE parted_high SET k = 'x' WHERE id = 21", []string{"parted/id=21", "parted"}, []string{"parted/id=1"}},
		{"row movement", "UPDATE parted SET id = 2 WHERE id = 20", []string{"parted/id=20", "parted/id=2"}, []string{"parted/id=1"}},
		{"COPY into a leaf", "COPY parted_leaf (id) FROM PROGRAM 'echo 77'", []string{"parted/id=77", "parted"}, []string{"parted/id=1"}},
		{"TRUNCATE of a leaf", "TRUNCATE parted_leaf", []string{"parted/id=21", "parted"}, []string{"users"}},
		{"TRUNCATE of the root", "TRUNCATE parted", []string{"parted/id=1", "parted"}, []string{"users"}},
		{"ATTACH", "ALTER TABLE parted ATTACH PARTITION more FOR VALUES FROM (1000) TO (2000)", []string{"parted", "parted/id=1001"}, nil},
	})
	if _, ok := f.State().ByName("public.parted"); ok {
		t.Error("a tree with a partition whose triggers are another table's counts as watched")
	}
	db.install("public.*")
	f.confirmNow()
	f.wantWritings([]writing{
		{"insert through what was attached", "INSERT INTO more VALUES (1002)", []string{"parted/id=1002", "parted"}, []string{"parted/id=1001"}},
		{"DETACH", "ALTER TABLE parted DETACH PARTITION more", []string{"parted", "parted/id=1001"}, nil},
		{"ATTACH of what was detached", "DROP TABLE parted_high; ALTER TABLE parted ATTACH PARTITION more FOR VALUES FROM (1000) TO (2000)", []string{"parted"}, nil},
		{"DETACH CONCURRENTLY", "ALTER TABLE parted DETACH PARTITION more CONCURRENTLY", []string{"parted", "parted/id=1001"}, nil},
		{"DROP of a partition", "DROP TABLE parted_low", []string{"parted"}, nil},
	})
}

func TestCase19Inheritance(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	f.wantWritings([]writing{
		{"update of a child through its parent", "UPDATE base SET id = 5 WHERE id = 2", []string{"base/id=2", "base/id=5", "base"}, []string{"base/id=1"}},
		{"update of a child", "UPDATE kid SET extra = 7", []string{"base/id=5", "base"}, []string{"base/id=1"}},
		{"insert into a child", "INSERT INTO kid VALUES (6, 6)", []string{"base/id=6", "base"}, []string{"base/id=1"}},
		{"TRUNCATE ONLY of the parent", "TRUNCATE ONLY base", []string{"base/id=1", "base"}, []string{"users"}},
		{"NO INHERIT", "ALTER TABLE kid NO INHERIT base", []string{"base", "base/id=6"}, nil},
		{"INHERIT", "ALTER TABLE kid INHERIT base", []string{"base", "base/id=6"}, nil},
		{"a new child", "CREATE TABLE kid2 () INHERITS (base)", []string{"base"}, nil},
	})
	if _, ok := f.State().ByName("public.base"); ok {
		t.Error("a tree with a child that has no triggers counts as watched")
	}
}

func TestCase20StatementsThatWriteMoreThanTheyName(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, `
		CREATE TABLE log (id int PRIMARY KEY);
		CREATE RULE note AS ON INSERT TO plain DO ALSO INSERT INTO log VALUES (NEW.a);
		CREATE RULE instead AS ON DELETE TO log DO INSTEAD UPDATE users SET name = 'by rule' WHERE id = OLD.id;
		CREATE VIEW simple AS SELECT id, name FROM users WHERE id < 100;
		CREATE VIEW joined AS SELECT o.id, u.name FROM orders o JOIN users u ON u.id = o.user_id;
		CREATE FUNCTION rename() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN UPDATE users SET name = NEW.name WHERE id = (SELECT user_id FROM orders WHERE id = OLD.id); RETURN NEW; END';
		CREATE TRIGGER rename INSTEAD OF UPDATE ON joined FOR EACH ROW EXECUTE FUNCTION rename();
		CREATE FUNCTION chain() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id + 1000); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chain();
		CREATE PROCEDURE several() LANGUAGE plpgsql AS
			'BEGIN UPDATE users SET name = ''p'' WHERE id = 1; COMMIT; UPDATE orders SET note = ''p'' WHERE id = 11; COMMIT; END'`)
	db.install("public.*")
	db.follow(nil).wantWritings([]writing{
		{"ON CONFLICT DO UPDATE", "INSERT INTO users VALUES (1, 'n@x'), (5, 'v@x') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
			[]string{"users/id=1", "users/id=5", "users/email=a@x", "users/email=n@x", "users"}, []string{"users/id=2"}},
		{"ON CONFLICT DO NOTHING", "INSERT INTO users VALUES (1) ON CONFLICT DO NOTHING", nil, []string{"users", "users/id=1"}},
		{"MERGE", `MERGE INTO users u USING (VALUES (5), (6)) v(id) ON u.id = v.id
			WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id)`, []string{"users/id=5", "users/id=6", "users"}, []string{"users/id=2"}},
		{"COPY", "COPY users (id) FROM PROGRAM 'echo 30'", []string{"users/id=30", "users"}, []string{"users/id=2"}},
		{"writable CTE", "WITH d AS (DELETE FROM orders WHERE id = 12 RETURNING id) INSERT INTO users SELECT id FROM d",
			[]string{"orders/id=12", "users/id=12"}, []string{"orders/id=10", "users/id=2"}},
		{"a rule that writes too", "INSERT INTO plain VALUES (44)", []string{"plain", "log/id=44"}, []string{"users"}},
		{"a rule that writes instead", "INSERT INTO log VALUES (2); DELETE FROM log WHERE id = 2", []string{"users/id=2", "users"}, []string{"users/id=1"}},
		{"an updatable view", "UPDATE simple SET name = 'through the view' WHERE id = 2", []string{"users/id=2", "users"}, []string{"users/id=1"}},
		{"a view with INSTEAD OF", "UPDATE joined SET name = 'instead' WHERE id = 10", []string{"users/id=1", "users"}, []string{"users/id=2"}},
		{"a deferred constraint trigger", "INSERT INTO orders VALUES (50, 1)", []string{"orders/id=50", "log/id=1050"}, []string{"users"}},
		{"a procedure that commits", "CALL several()", []string{"users/id=1", "orders/id=11"}, []string{"users/id=2"}},
		{"a DO block with an exception", "DO $$ BEGIN UPDATE users SET name = 'd' WHERE id = 2; BEGIN DELETE FROM orders; RAISE 'x'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
			[]string{"users/id=2"}, []string{"orders"}},
		{"ON UPDATE CASCADE", "UPDATE users SET id = 70 WHERE id = 1", []string{"users/id=1", "users/id=70", "orders/user_id=1", "orders/user_id=70", "orders/id=10"}, []string{"users/id=2"}},
		{"ON DELETE CASCADE", "DELETE FROM users WHERE id = 70", []string{"users/id=70", "orders/id=10", "orders/user_id=70"}, []string{"users/id=2"}},
		{"rolled back", "BEGIN; DELETE FROM orders; ROLLBACK", nil, []string{"orders"}},
	})
}

func TestCase21Truncate(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.follow(nil).wantWritings([]writing{
		{"TRUNCATE", "TRUNCATE plain", []string{"plain"}, []string{"users"}},
		{"TRUNCATE CASCADE", "TRUNCATE users CASCADE", []string{"users", "users/id=1", "orders", "orders/id=10"}, []string{"plain"}},
		{"TRUNCATE RESTART IDENTITY of several", "TRUNCATE plain, base RESTART IDENTITY", []string{"plain", "base/id=2"}, []string{"users"}},
	})
}

func TestCase22TriggersThatAreSilenced(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.Verify = 50 * time.Millisecond })
	f.wantWritings([]writing{
		{"session_replication_role = replica", "SET session_replication_role = replica; UPDATE users SET name = 'r' WHERE id = 1; RESET session_replication_role", []string{"users/id=1"}, []string{"users/id=2"}},
		{"session_replication_role = local", "SET session_replication_role = local; UPDATE users SET name = 'l' WHERE id = 1; RESET session_replication_role", []string{"users/id=1"}, []string{"users/id=2"}},
	})
	for _, how := range []string{"ALL", "USER", "zz_freshet_update"} {
		entry := f.reads("users/id=1")
		db.run("ALTER TABLE users DISABLE TRIGGER "+how, "UPDATE users SET name = 'unseen' WHERE id = 1", "ALTER TABLE users ENABLE TRIGGER "+how)
		f.confirmNow()
		f.wantAdmitted(entry, false, "DISABLE TRIGGER "+how)
		if _, ok := f.State().ByName("public.users"); ok {
			t.Errorf("DISABLE TRIGGER %s: the table counts as watched", how)
		}
		db.install("public.*")
		f.confirmNow()
	}
	// Whoever may write catalogs leaves no event. It is noticed within twice the
	// verification interval.
	entry := f.reads("users/id=1")
	db.run("SET allow_system_table_mods = on", "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname LIKE 'zz_freshet%' AND tgrelid = 'users'::regclass")
	servers.Eventually(t, "the table is not watched", func() bool { _, ok := f.State().ByName("public.users"); return !ok })
	f.confirmNow()
	f.wantAdmitted(entry, false, "triggers disabled without an event")
}

func TestCase22RestoreWithDisabledTriggers(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	db := newWatched(t, shop)
	f := db.follow(nil)
	file := filepath.Join(t.TempDir(), "data.dump")
	run := func(tool string, arguments ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), filepath.Join(pg.BinDir(), tool), arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, out)
		}
	}
	run("pg_dump", "-Fc", "--data-only", "-t", "plain", "-t", "users", "-f", file, db.dsn)
	db.run("TRUNCATE users CASCADE")
	f.confirmNow()
	entry, other := f.reads("users"), f.reads("users/id=2")
	run("pg_restore", "--data-only", "--disable-triggers", "-d", db.dsn, file)
	f.confirmNow()
	f.wantAdmitted(entry, false, "pg_restore --disable-triggers, the whole table")
	f.wantAdmitted(other, false, "pg_restore --disable-triggers, a row")
	if _, ok := f.State().ByName("public.users"); ok || db.value("SELECT count(*) FROM users") != "2" {
		t.Errorf("after the restore of %s rows the table is watched: %v", db.value("SELECT count(*) FROM users"), ok)
	}
	db.install("public.*")
	f.confirmNow()
	f.wantWritings([]writing{{"installed again", "UPDATE users SET name = 'x' WHERE id = 1", []string{"users/id=1"}, []string{"users/id=2"}}})
}

// Rights and definitions: each command ends what was loaded before it.
func TestCase26DefinitionsOfEveryKind(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, "CREATE VIEW v AS SELECT id FROM users", "CREATE FUNCTION f() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
	db.install("public.*")
	f := db.follow(nil)
	for _, statement := range []string{
		"GRANT USAGE ON SCHEMA public TO PUBLIC", "REVOKE ALL ON v FROM PUBLIC",
		"ALTER TABLE users ADD extra int DEFAULT 7", "ALTER TABLE users ALTER extra SET DEFAULT 8", "ALTER TABLE users ALTER extra TYPE bigint",
		"ALTER TABLE users RENAME extra TO more", "ALTER TABLE users DROP more", "ALTER TABLE users RENAME TO people", "ALTER TABLE people RENAME TO users",
		"ALTER TABLE users ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON users USING (id > 1)", "ALTER POLICY p ON users USING (true)", "DROP POLICY p ON users",
		"CREATE OR REPLACE VIEW v AS SELECT id + 1 AS id FROM users", "ALTER VIEW v SET (security_barrier)", "ALTER VIEW v RENAME TO w", "DROP VIEW w",
		"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'", "ALTER FUNCTION f() VOLATILE", "DROP FUNCTION f",
		"CREATE SCHEMA elsewhere", "CREATE TABLE elsewhere.users (id int)", "ALTER TABLE elsewhere.users SET SCHEMA public_too",
		"CREATE TYPE mood AS ENUM ('sad')", "ALTER TYPE mood ADD VALUE 'ok'", "DROP TYPE mood", "CREATE DOMAIN d AS int", "ALTER DOMAIN d ADD CHECK (VALUE > 0)",
		"CREATE COLLATION c (provider = icu, locale = 'und')", "CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int)", "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
		"CREATE CAST (text AS d) WITH INOUT", "DROP CAST (text AS d)",
		"CREATE OPERATOR CLASS mine FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int)", "CREATE OPERATOR FAMILY more USING btree",
		"ALTER OPERATOR FAMILY more USING btree ADD FUNCTION 1 (int, int) btint4cmp(int, int)", "DROP OPERATOR CLASS mine USING btree",
		"CREATE TYPE span AS RANGE (subtype = int)", "CREATE TYPE pair AS (a int)", "ALTER TYPE pair ADD ATTRIBUTE b int", "ALTER DOMAIN d DROP CONSTRAINT d_check", "CREATE RULE r AS ON UPDATE TO plain DO INSTEAD NOTHING", "DROP RULE r ON plain", "CREATE SEQUENCE s", "ALTER SEQUENCE s RESTART 7",
		"CREATE TEXT SEARCH CONFIGURATION ts (COPY = simple)",
		"CREATE TEXT SEARCH DICTIONARY td (TEMPLATE = simple)", "ALTER TEXT SEARCH CONFIGURATION ts ALTER MAPPING FOR word WITH td", "ALTER TEXT SEARCH DICTIONARY td (Accept = false)",
		"CREATE DEFAULT CONVERSION latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1", "CREATE EXTENSION citext", "DROP EXTENSION citext", "ALTER TABLE users SET UNLOGGED", "DROP TABLE users CASCADE",
	} {
		if statement == "ALTER TABLE elsewhere.users SET SCHEMA public_too" {
			db.run("CREATE SCHEMA public_too")
		}
		if statement == "ALTER TABLE users SET UNLOGGED" {
			db.run("ALTER TABLE orders SET UNLOGGED") // it refers to users
		}
		f.confirmNow()
		entry := f.load(fence.SchemaText)
		db.run(statement)
		f.confirmNow()
		f.wantAdmitted(entry, false, statement)
	}
	// Who may read more is shown what he was shown before.
	for _, statement := range []string{"GRANT SELECT ON orders TO pg_monitor", "GRANT SELECT (note) ON orders TO pg_monitor", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"} {
		f.confirmNow()
		entry := f.reads("orders")
		db.run(statement)
		f.confirmNow()
		f.wantAdmitted(entry, true, statement)
	}
	// An audit finds what no event tells of the tables that are gone, and ends everything, once.
	for range 2 {
		at := f.auditedAt.Load()
		servers.Eventually(t, "an audit", func() bool { return f.auditedAt.Load() != at })
	}
	// What leaves the meaning of names alone ends the table's entries only.
	for _, statement := range []string{"REVOKE SELECT (note) ON orders FROM pg_monitor", "REVOKE ALL ON orders FROM pg_monitor", "CREATE INDEX added ON orders (note)", "ALTER INDEX added RENAME TO renamed", "COMMENT ON TABLE orders IS 'x'", "CREATE STATISTICS st ON id, note FROM orders"} {
		f.confirmNow()
		entry, other := f.reads("orders"), f.reads("plain")
		db.run(statement)
		f.confirmNow()
		f.wantAdmitted(entry, false, statement)
		f.wantAdmitted(other, true, statement+": an entry of another table")
	}
}
