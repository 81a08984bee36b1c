package analysis

import "testing"

// A client chooses the search path under which its statements are analysed, and
// may have made functions and operators there. What the analysis asks on its own
// account, with the rights of its own role, never calls them.
func TestSearchPathOfTheClientCallsNothing(t *testing.T) {
	b := setup(t)
	b.exec(t, `
		CREATE SCHEMA trap;
		CREATE FUNCTION trap.caught(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called by %', current_user; END $$;
		CREATE FUNCTION trap.caught(oid, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called by %', current_user; END $$;
		CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.caught);
		CREATE OPERATOR trap.<> (LEFTARG = oid, RIGHTARG = int, FUNCTION = trap.caught);
		CREATE DOMAIN trap.text AS pg_catalog.text CHECK (false)`)
	for _, path := range [][]string{{"trap", "pg_catalog", "public"}, {"pg_catalog", "public", "trap"}} {
		r := request(`SELECT email FROM users WHERE name OPERATOR(pg_catalog.=) $1`)
		r.SearchPath = path
		b.analyzer.Forget()
		if got := b.show(b.analyze(t, r)); got != "users/name=$1" {
			t.Errorf("under %s: %s", path, got)
		}
	}
}
