package invalidation

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// replicated is a database with a follower, into which a subscription applies
// what is written to another database.
type replicated struct {
	*followed
	publisher *database
	// before is an entry from before the subscription.
	before *fence.Ticket
}

// newReplicated begins with equal data on both sides, and no triggers for rows.
// change, unless nil, alters the follower's options.
func newReplicated(t *testing.T, change func(*FollowerOptions)) *replicated {
	t.Helper()
	pg := servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{"wal_level": "logical"}})
	publisher := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), shop, "ALTER TABLE plain REPLICA IDENTITY FULL", "ALTER TABLE kid REPLICA IDENTITY FULL",
		"CREATE PUBLICATION shop FOR TABLE users, orders, plain, parted, base WITH (publish_via_partition_root = true)",
		"SELECT pg_create_logical_replication_slot('shop', 'pgoutput')")
	subscriber := openDatabase(t, pg.DSN(pg.CreateDatabase(t)), shop)
	subscriber.install("public.*")
	f := subscriber.follow(change)
	r := &replicated{f, publisher, f.load(fence.SchemaText)}
	r.run(fmt.Sprintf("CREATE SUBSCRIPTION shop CONNECTION %s PUBLICATION shop WITH (create_slot = false, slot_name = 'shop', copy_data = false)", literal(publisher.dsn)))
	t.Cleanup(func() { // databases with a subscription or its slot cannot be dropped
		if _, err := subscriber.Exec(context.Background(), "DROP SUBSCRIPTION shop"); err != nil {
			t.Error(err)
		}
	})
	return r
}

// apply writes on the publisher's side and waits until it has arrived.
func (r *replicated) apply(statement string) {
	r.t.Helper()
	r.publisher.run(statement, "SELECT pg_switch_wal()")
	end := r.publisher.value("SELECT pg_current_wal_lsn()")
	servers.Eventually(r.t, "the change is applied", func() bool {
		return r.publisher.value("SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = 'shop'", end) == "true"
	})
}

// Applying changes fires no statement trigger. Until the tables have triggers for
// rows they are not watched; with them every change that is applied is an event.
func TestCase23LogicalReplicationApply(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, nil)
	r.confirmNow()
	for _, table := range []string{"users", "parted_leaf", "kid"} {
		if _, ok := r.State().ByName("public." + table); ok {
			t.Errorf("%s is written by a subscription, has no trigger for rows and counts as watched", table)
		}
	}
	r.wantAdmitted(r.before, false, "an entry from before the subscription")
	r.install("public.*")
	servers.Eventually(t, "what a subscription writes to is watched", func() bool {
		r.confirmNow()
		_, ok := r.State().ByName("public.parted_leaf")
		return ok && len(r.State().Problems()) == 0
	})
	for _, c := range []writing{
		{"insert", "INSERT INTO users VALUES (3, 'c@x')", []string{"users/id=3", "users/email=c@x", "users"}, []string{"users/id=1"}},
		{"update", "UPDATE users SET email = 'z@x' WHERE id = 1", []string{"users/id=1", "users/email=a@x", "users/email=z@x"}, []string{"users/id=2"}},
		{"update of a key", "UPDATE users SET id = 33 WHERE id = 3", []string{"users/id=3", "users/id=33"}, []string{"users/id=2"}},
		{"delete with a cascade", "DELETE FROM users WHERE id = 1", []string{"users/id=1", "orders/id=10", "orders/user_id=1"}, []string{"users/id=2", "orders/id=12"}},
		{"no watched column", "UPDATE plain SET b = 'x'; INSERT INTO plain VALUES (1)", []string{"plain"}, []string{"users"}},
		{"a leaf", "INSERT INTO parted VALUES (20)", []string{"parted/id=20", "parted"}, []string{"parted/id=1"}},
		{"row movement", "UPDATE parted SET id = 12 WHERE id = 1", []string{"parted/id=1", "parted/id=12"}, []string{"parted/id=20"}},
		{"an inherited table", "UPDATE base SET id = 9 WHERE id = 1", []string{"base/id=1", "base/id=9"}, []string{"base/id=5"}},
		{"TRUNCATE", "TRUNCATE parted", []string{"parted/id=20", "parted"}, []string{"users/id=2"}},
		{"more rows than are spelled", "INSERT INTO users SELECT g FROM generate_series(1001, 2000) g", []string{"users", "users/id=2"}, []string{"plain"}},
	} {
		var ended, spared []*fence.Ticket
		for _, text := range c.ends {
			ended = append(ended, r.reads(text))
		}
		for _, text := range c.spares {
			spared = append(spared, r.reads(text))
		}
		r.apply(c.statement)
		r.confirmNow()
		for i, entry := range ended {
			r.wantAdmitted(entry, false, c.name+": an entry of "+c.ends[i])
		}
		for i, entry := range spared {
			r.wantAdmitted(entry, true, c.name+": an entry of "+c.spares[i])
		}
	}
	if got, want := r.value("SELECT count(*) FROM users"), r.publisher.value("SELECT count(*) FROM users"); got != want {
		t.Errorf("%s users were applied of %s", got, want)
	}
	last := r.value("SELECT count(*) FROM freshet.outbox WHERE xid = (SELECT max(xid) FROM freshet.outbox)")
	if want := fmt.Sprint(rowsPerStatementMax + 1); last != want {
		t.Errorf("a thousand applied rows wrote %s events, want %s", last, want)
	}
}

// The trigger for rows is as installed or the tree is not watched; who writes
// directly never fires it; and it is gone with the rest.
func TestCase23RowTriggerIsVerifiedAndQuiet(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, nil)
	r.install("public.*")
	if got := r.outboxTags("INSERT INTO users VALUES (3)"); len(got) != 1 {
		t.Errorf("a direct insert wrote %d events, want 1", len(got))
	}
	counted := r.outboxTags("SET LOCAL session_replication_role = replica; SAVEPOINT s",
		"DO $$ BEGIN FOR i IN 1..300 LOOP INSERT INTO plain VALUES (i); END LOOP; END $$", "ROLLBACK TO s", "INSERT INTO plain VALUES (1)")
	if len(counted) != 2 {
		t.Errorf("an insert as a replica, after 300 that were rolled back, wrote %v; want an event of the statement and one of the row", counted)
	}
	for name, damage := range map[string]string{
		"disabled":        "ALTER TABLE users DISABLE TRIGGER zz_freshet_row",
		"enabled always":  "ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshet_row",
		"dropped":         "DROP TRIGGER zz_freshet_row ON users",
		"another's":       "CREATE OR REPLACE TRIGGER zz_freshet_row AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION " + r.rowFunction("orders") + "('id', 'email'); ALTER TABLE users ENABLE REPLICA TRIGGER zz_freshet_row",
		"rewritten":       "CREATE OR REPLACE FUNCTION " + r.rowFunction("users") + "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'",
		"without a right": "ALTER FUNCTION " + r.rowFunction("users") + "() SECURITY INVOKER",
	} {
		r.run(damage)
		if _, ok := r.database.state().ByName("public.users"); ok {
			t.Errorf("%s: the table counts as watched", name)
		}
		if _, ok := r.database.state().ByName("public.plain"); !ok {
			t.Errorf("%s: another table is not watched", name)
		}
		r.install("public.*")
		if problems := r.database.state().Problems(); len(problems) > 0 {
			t.Errorf("%s: after installing again: %v", name, problems)
		}
	}
	script, err := Script(t.Context(), r.Conn, Options{Watch: []string{"public.*"}})
	if err != nil || strings.Contains(script, "CREATE OR REPLACE TRIGGER") {
		t.Errorf("everything is installed, and there would be more to do: %v", err)
	}
	r.stop()
	if err := Uninstall(t.Context(), r.Conn); err != nil {
		t.Fatal(err)
	}
	r.apply("UPDATE users SET name = 'after' WHERE id = 1")
	if got := r.value("SELECT name FROM users WHERE id = 1"); got != "after" {
		t.Errorf("after uninstalling, what is applied reads %s", got)
	}
}

func (r *replicated) rowFunction(table string) string {
	r.t.Helper()
	return "freshet." + r.value("SELECT p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = $1::text::regclass AND t.tgname = 'zz_freshet_row'", table)
}

// A table's first copy is made by workers of the subscription, too. A follower that
// knows what to watch puts the trigger on by itself.
func TestCase23InitialCopyOfASubscription(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, watching("public.*"))
	r.publisher.run("CREATE TABLE late (id int PRIMARY KEY)", "INSERT INTO late VALUES (1), (2)", "ALTER PUBLICATION shop ADD TABLE late")
	r.run("CREATE TABLE late (id int PRIMARY KEY)")
	watched := func() bool { _, ok := r.State().ByName("public.late"); return ok }
	servers.Eventually(t, "the new table is watched", watched)
	r.run("ALTER SUBSCRIPTION shop REFRESH PUBLICATION")
	servers.Eventually(t, "the rows are copied", func() bool { return r.value("SELECT count(*) FROM late") == "2" })
	want := strings.Join(r.spell("late"), "")
	if n := r.value("SELECT count(*) FROM freshet.outbox WHERE $1 = ANY (tags)", want); n == "0" {
		t.Error("the rows were copied without an event")
	}
	servers.Eventually(t, "the table is watched again", func() bool {
		r.confirmNow()
		return watched() && r.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'zz_freshet_row' AND tgrelid = 'late'::regclass") == "1"
	})
	servers.Eventually(t, "changes are applied, not copied, from now on", func() bool {
		return r.value("SELECT srsubstate FROM pg_subscription_rel WHERE srrelid = 'late'::regclass") == "r"
	})
	entry := r.reads("late/id=1")
	r.apply("UPDATE late SET id = 3 WHERE id = 1")
	r.confirmNow()
	r.wantAdmitted(entry, false, "an entry from before a change that was applied")
}
