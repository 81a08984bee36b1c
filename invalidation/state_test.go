package invalidation

import (
	"slices"
	"strings"
	"testing"
)

func TestStateNamesRoots(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	db.install("public.parted", "public.base(id)")
	state := db.state()
	for name, root := range map[string]string{"parted": "parted", "parted_low": "parted", "parted_high": "parted", "parted_leaf": "parted", "base": "base", "kid": "base"} {
		table, ok := state.Table(db.oid(name))
		if !ok || table.Root != db.oid(root) || table.Name != name || !slices.Equal(table.Columns, []string{"id"}) {
			t.Errorf("%s: %+v (watched: %v), want root %s and column id", name, table, ok, root)
		}
	}
	if _, ok := state.ByName("public.users"); ok {
		t.Error("a table that no pattern matches is watched")
	}
	if state.Since().IsZero() {
		t.Error("the state has no snapshot")
	}
}

// Whatever is not exactly as installed takes its whole tree out of the state.
func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	const all = "all"
	cases := []struct {
		name, statement string
		gone            string // a table, or all
	}{
		{"disabled", "ALTER TABLE users DISABLE TRIGGER zz_freshet_update", "public.users"},
		{"enabled as usual", "ALTER TABLE users ENABLE TRIGGER zz_freshet_update", "public.users"},
		{"all disabled", "ALTER TABLE users DISABLE TRIGGER USER", "public.users"},
		{"dropped", "DROP TRIGGER zz_freshet_truncate ON users", "public.users"},
		{"dropped from a leaf", "DROP TRIGGER zz_freshet_insert ON parted_leaf", "public.parted"},
		{"dropped from a root", "ALTER TABLE parted DISABLE TRIGGER zz_freshet_delete", "public.parted_low"},
		{"new partition", "CREATE TABLE parted_more PARTITION OF parted FOR VALUES FROM (1000) TO (2000)", "public.parted"},
		{"new child", "CREATE TABLE kid2 () INHERITS (base)", "public.kid"},
		{"attached", "CREATE TABLE other (LIKE parted INCLUDING ALL); ALTER TABLE parted ATTACH PARTITION other FOR VALUES FROM (1000) TO (2000)", "public.parted_low"},
		{"detached with triggers of its former root", "ALTER TABLE parted DETACH PARTITION parted_low", "public.parted_low"},
		{"replaced", "CREATE OR REPLACE TRIGGER zz_freshet_insert AFTER INSERT ON users REFERENCING NEW TABLE AS freshet_new FOR EACH STATEMENT WHEN (1 > 2) EXECUTE FUNCTION {users}('id', 'email'); ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshet_insert", "public.users"},
		{"other arguments", "CREATE OR REPLACE TRIGGER zz_freshet_insert AFTER INSERT ON users REFERENCING NEW TABLE AS freshet_new FOR EACH STATEMENT EXECUTE FUNCTION {users}('id', 'name'); ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshet_insert", "public.users"},
		{"function of another table", "CREATE OR REPLACE TRIGGER zz_freshet_truncate AFTER TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION {orders}('id', 'email'); ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshet_truncate", "public.users"},
		{"function rewritten", "CREATE OR REPLACE FUNCTION {users}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'", "public.users"},
		{"function without its rights", "ALTER FUNCTION {users}() SECURITY INVOKER", "public.users"},
		{"column renamed", "ALTER TABLE users RENAME email TO mail", "public.users"},
		{"column dropped", "ALTER TABLE base DROP COLUMN id", "public.kid"},
		{"outbox that a crash would empty", "ALTER TABLE freshet.outbox SET UNLOGGED", all},
		{"event function rewritten", "CREATE OR REPLACE FUNCTION freshet.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", all},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := newWatched(t, shop)
			statement := c.statement
			for _, table := range []string{"users", "orders"} {
				name := db.value("SELECT p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = $1::text::regclass AND t.tgname = 'zz_freshet_insert'", table)
				statement = strings.ReplaceAll(statement, "{"+table+"}", "freshet."+name)
			}
			db.run(statement)
			state := db.state()
			if _, ok := state.ByName(c.gone); ok || c.gone == all && len(state.Tables()) > 0 {
				t.Errorf("watched although damaged: %v", state.Tables())
			}
			if _, ok := state.ByName("public.plain"); !ok && c.gone != all {
				t.Errorf("damage to %s took out others; problems %v", c.gone, state.Problems())
			}
			db.install("public.*")
			if state := db.state(); len(state.Problems()) > 0 {
				t.Errorf("after installing again: %v", state.Problems())
			}
			// Nothing of ours may stand in the way of writes, whatever was done.
			db.run("INSERT INTO users (id) VALUES (77)", "UPDATE parted SET k = 'x'", "DELETE FROM kid")
		})
	}
}

// A renamed or dropped column must not make the writes of the table fail.
func TestWritesGoOnAfterColumnChanges(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("ALTER TABLE users RENAME email TO mail", "INSERT INTO users VALUES (3, 'q')",
		"ALTER TABLE parted RENAME id TO number", "INSERT INTO parted_leaf VALUES (30)", "INSERT INTO parted VALUES (31)",
		"ALTER TABLE orders DROP COLUMN user_id CASCADE", "UPDATE orders SET note = 'x'")
	if got := db.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_freshet%' AND tgrelid = 'users'::regclass"); got != "0" {
		t.Errorf("%s triggers that name a missing column are left", got)
	}
	db.run("ALTER TABLE plain ADD c int, DROP COLUMN b", "INSERT INTO plain VALUES (1)")
	if _, ok := db.state().ByName("public.plain"); !ok {
		t.Error("a change of an unwatched column took the table out")
	}
	// A column whose type no longer has one text for each value is not used.
	db.run("ALTER TABLE base ALTER id TYPE numeric", "INSERT INTO base VALUES (1.50)")
	if table, ok := db.state().ByName("public.base"); !ok || len(table.Columns) != 0 {
		t.Errorf("base is %+v (watched: %v), want no usable column", table, ok)
	}
}
