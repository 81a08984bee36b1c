package invalidation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// A role that owns nothing and was given the rights of followers does everything
// that following needs: it begins an incarnation, looks, trims, audits and reports
// what no event does. It cannot do anything else with our tables.
func TestFollowerWithLeastRights(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop, "CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY)")
	db.install("public.*", "closed.*")
	follower := servers.Follower
	for _, right := range []struct {
		query string
		want  string
	}{
		{"SELECT has_table_privilege($1::text, 'freshet.outbox', 'UPDATE')", "false"},
		{"SELECT has_table_privilege($1::text, 'freshet.trim', 'DELETE, TRUNCATE')", "false"},
		{"SELECT has_table_privilege($1::text, 'public.users', 'SELECT, INSERT, UPDATE, DELETE, TRIGGER')", "false"},
		{"SELECT has_schema_privilege($1::text, 'freshet', 'CREATE')", "false"},
		{"SELECT has_schema_privilege($1::text, 'closed', 'USAGE')", "true"},
		{"SELECT rolsuper FROM pg_roles WHERE rolname = $1::text", "false"},
	} {
		if got := db.value(right.query, follower); got != right.want {
			t.Errorf("%s: %s, want %s", right.query, got, right.want)
		}
	}
	// A crash took the token away: the first follower begins a new incarnation.
	db.run("TRUNCATE freshet.incarnation")
	f := db.follow(func(o *FollowerOptions) { o.Poll, o.Retention = 10*time.Millisecond, 100*time.Millisecond })
	db.run("UPDATE users SET name = 'x' WHERE id = 1", "DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO CURRENT_USER WITH GRANT OPTION', current_database()); END $$")
	servers.Eventually(t, "the audit finds the database's new right", func() bool { return f.Stats().Resets[resetRoles] > 0 })
	f.confirmNow()
	servers.Eventually(t, "the outbox is trimmed", func() bool { return db.value("SELECT count(*) FROM freshet.outbox") == "0" })
	if s := f.Stats(); s.LastError != "" || s.Wanting != "" {
		t.Errorf("a follower with the rights of followers says %q, %q", s.LastError, s.Wanting)
	}
}

// Rights once given are given again when tables are made anew, to roles that the
// installer of that day does not name; the script for psql does the same.
func TestFollowerRightsOutliveTheirTables(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("DROP TABLE freshet.fingerprint")
	script, err := Script(t.Context(), db.Conn, Options{Watch: []string{"public.*"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "GRANT SELECT, INSERT, UPDATE ON freshet.fingerprint TO " + identifier(servers.Follower); !strings.Contains(script, want) {
		t.Errorf("the script lacks %q", want)
	}
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}}); err != nil {
		t.Fatal(err)
	}
	db.follow(nil)
	if _, err := Install(t.Context(), db.Conn, Options{Watch: []string{"public.*"}, FollowerRoles: []string{"no such role"}}); err == nil || !strings.Contains(err.Error(), "CREATE ROLE") {
		t.Errorf("install for a role that does not exist: %v", err)
	}
}

// A follower that is told to watch what it may not install follows what there is,
// says which command is missing, and says no more once somebody has run it.
func TestWatchWithoutRightsSaysWhatToRun(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	f := db.followWithoutWaiting(watchingWithoutRights("public.*"))
	servers.Eventually(t, "it says that nothing is installed", func() bool {
		return strings.Contains(f.Stats().LastError, "freshet install --upstream DSN --watch 'public.*' --follower-role "+servers.Follower)
	})
	servers.Eventually(t, "it says what it wants", func() bool { return f.Stats().Wanting != "" })
	db.install("public.users")
	servers.Eventually(t, "it follows", func() bool { return f.Confirm(t.Context(), fence.Now()) == nil })
	servers.Eventually(t, "it says which tables are missing", func() bool { return strings.Contains(f.Stats().Wanting, "public.orders") })
	db.install("public.*")
	servers.Eventually(t, "it wants nothing", func() bool { return f.Stats().Wanting == "" })
	tables := f.State().Tables()
	if !slices.ContainsFunc(tables, func(t Table) bool { return t.Name == "orders" }) {
		t.Errorf("watched: %v", tables)
	}
}
