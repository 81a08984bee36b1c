package invalidation

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// What a role had for a moment, between two comparisons, is noticed too where rows
// may have been loaded that only this role then could see.
func TestRolesChangedAndChangedBack(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	db.run("CREATE ROLE someone", "CREATE ROLE other", "GRANT other TO someone", "CREATE ROLE follows", "CREATE VIEW v AS SELECT 1 AS one", "ALTER VIEW v OWNER TO other")
	database := db.value("SELECT current_database()")
	moments := map[string]string{
		"a membership":             "REVOKE other FROM someone; GRANT other TO someone",
		"a membership of a moment": "GRANT other TO follows; REVOKE other FROM follows",
		"the database's owner":     "ALTER DATABASE " + database + " OWNER TO other; ALTER DATABASE " + database + " OWNER TO postgres",
		"an owner":                 "REASSIGN OWNED BY other TO someone; REASSIGN OWNED BY someone TO other",
		"BYPASSRLS":                "ALTER ROLE someone BYPASSRLS; ALTER ROLE someone NOBYPASSRLS",
		"superuser":                "ALTER ROLE someone SUPERUSER; ALTER ROLE someone NOSUPERUSER",
		"inheritance":              "ALTER ROLE someone NOINHERIT; ALTER ROLE someone INHERIT",
		"the name of a role":       "ALTER ROLE someone RENAME TO nobody; ALTER ROLE nobody RENAME TO someone",
		"nothing but a password":   "ALTER ROLE someone PASSWORD 'x'",
	}
	always := map[string]bool{"a membership": true, "an owner": true, "the database's owner": true}
	read := func() string {
		t.Helper()
		found, err := readSilent(t.Context(), db.Conn)
		if err != nil {
			t.Fatal(err)
		}
		return found.sum
	}
	check := func(where string, noticed func(moment string) bool) {
		t.Helper()
		for moment, statements := range moments {
			before := read()
			db.run("RESET ROLE")
			db.run(strings.Split(statements, ";")...)
			db.run("SELECT pg_stat_force_next_flush()") // which Postgres does by itself, later
			if where != "" {
				db.run(where)
			}
			if got := read() != before; got != noticed(moment) {
				t.Errorf("%s %s: noticed %v", moment, where, got)
			}
		}
	}
	// Without row security nothing is ended for what ended up as it was.
	check("", func(moment string) bool { return always[moment] })
	db.run("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
	check("", func(string) bool { return true })
	// A follower that may not read versions knows of them by what is counted: the analysis
	// does not rely on that.
	db.run("SET ROLE follows")
	check("SET ROLE follows", func(string) bool { return true })
}

// The interleaving at Suspect: a look that begins behind it is later than an audit, also
// where audits are rare.
func TestSuspectedChangesAreComparedByTheNextLook(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, nil)
	f := db.follow(func(o *FollowerOptions) { o.Verify = time.Hour })
	db.run("CREATE ROLE someone", "CREATE ROLE other")
	someone := fence.RoleText(db.role("someone"))
	f.Suspect()
	for _, change := range []string{"GRANT other TO someone", "REVOKE other FROM someone", "ALTER ROLE someone NOINHERIT", "DROP ROLE someone"} {
		f.confirmNow()
		entry := f.load(someone)
		db.run(change)
		f.Suspect()
		f.confirmNow()
		f.wantAdmitted(entry, false, "an entry from before "+change)
	}
}
