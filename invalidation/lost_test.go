package invalidation

import (
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// A table whose triggers were taken off says so until it is watched again or dropped.
func TestLostTablesAreNamed(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	problems := func() string { return strings.Join(f.State().Problems(), "\n") }
	lost := func(table string) bool {
		_, watched := f.State().ByName(table)
		said := strings.Contains(problems(), table+": no longer watched since ") &&
			strings.Contains(problems(), "freshet install --watch "+table)
		return !watched && said
	}
	if got := problems(); got != "" {
		t.Fatalf("problems at the start: %s", got)
	}

	db.run("ALTER TABLE users RENAME email TO mail", "ALTER TABLE orders RENAME TO sales", "ALTER TABLE sales RENAME TO orders")
	servers.Eventually(t, "users is named", func() bool { return lost("public.users") })
	if n := f.Stats().TablesLost; n["trigger"] != 1 || n["dropped"] != 0 {
		t.Errorf("%v tables are counted as lost, want one whose trigger is gone", n)
	}
	if strings.Contains(problems(), "orders") {
		t.Errorf("a table that is watched is named: %s", problems())
	}

	// The name is that of now, and what is said stays while others change.
	db.run("ALTER TABLE users RENAME TO customers", "CREATE TABLE another (id int)")
	servers.Eventually(t, "customers is named", func() bool { return lost("public.customers") })

	db.install("public.customers")
	servers.Eventually(t, "customers is watched", func() bool {
		_, watched := f.State().ByName("public.customers")
		return watched && problems() == ""
	})

	// A partitioned table is named once, not with each of its partitions.
	db.run("ALTER TABLE parted RENAME id TO number")
	servers.Eventually(t, "parted is named", func() bool { return lost("public.parted") })
	if n := strings.Count(problems(), "no longer watched"); n != 1 {
		t.Errorf("%d tables are named:\n%s", n, problems())
	}
	before := f.Stats().TablesLost["dropped"]
	db.run("DROP TABLE parted", "DROP TABLE orders")
	servers.Eventually(t, "a dropped table is counted", func() bool { return f.Stats().TablesLost["dropped"] == before+1 })
	db.run("CREATE TABLE orders (id int PRIMARY KEY)")
	servers.Eventually(t, "a dropped table is forgotten", func() bool { return problems() == "" })

	// Who uninstalls everything means to.
	if err := Uninstall(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	db.install("public.orders")
	servers.Eventually(t, "the rest is not missed", func() bool {
		_, watched := f.State().ByName("public.orders")
		return watched && problems() == ""
	})
}

// A table that is taken out on purpose is no problem, and one that is not is, also if it was
// taken out and put back before.
func TestTakenOutIsNotLost(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	watched := func(table string) bool {
		_, is := f.State().ByName("public." + table)
		return is
	}
	takeOut := func(pattern string) {
		t.Helper()
		if _, err := UninstallTables(t.Context(), db.Conn, []string{pattern}); err != nil {
			t.Fatal(err)
		}
	}
	takeOut("public.users")
	takeOut("public.parted")
	servers.Eventually(t, "they are not watched", func() bool { return !watched("users") && !watched("parted") })
	f.confirmNow()
	if problems, lost := f.State().Problems(), f.Stats().TablesLost["trigger"]; len(problems) != 0 || lost != 0 {
		t.Errorf("taken out: %d lost, %q", lost, problems)
	}
	db.install("public.users")
	servers.Eventually(t, "users is watched", func() bool { return watched("users") })
	db.run(dropTriggersSQL(relationName{"public", "users"}))
	servers.Eventually(t, "users is named", func() bool {
		return strings.Contains(strings.Join(f.State().Problems(), " "), "public.users: no longer watched since ")
	})
	if lost := f.Stats().TablesLost["trigger"]; lost != 1 {
		t.Errorf("%d are counted as lost, want one", lost)
	}
}
