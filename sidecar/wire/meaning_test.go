package wire

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// A statement that was prepared before its table, role or search path changed is answered as by
// Postgres itself, even if other clients have brought the new rows into the cache.
func TestCase26PreparedStatementIsAnsweredAsPostgresDoesBehindAChange(t *testing.T) {
	t.Parallel()
	use := synced(msgBind("s", "3"), msgExecute("", 0))
	describe := synced(msgDescribe('S', "s"))
	for name, change := range map[string]struct {
		direct string // SQL of another session, at Postgres itself
		within []byte // sent by each session, where direct is empty
	}{
		"column added":                   {direct: "ALTER TABLE item ADD COLUMN extra int DEFAULT 5"},
		"column dropped":                 {direct: "ALTER TABLE item DROP COLUMN name"},
		"column of other type":           {direct: "ALTER TABLE item ALTER COLUMN version TYPE bigint"},
		"type of the parameter":          {direct: "ALTER TABLE item ALTER COLUMN id TYPE text"},
		"another table made":             {direct: "CREATE TABLE other (id int)"},
		"rights granted":                 {direct: "GRANT SELECT ON item TO PUBLIC"},
		"table replaced":                 {direct: "ALTER TABLE item RENAME TO gone; CREATE TABLE item AS SELECT id, version, name FROM gone"},
		"search path":                    {within: msgQuery("SET search_path = elsewhere, public")},
		"search path, changed and reset": {within: msgQuery("SET search_path = elsewhere, public; RESET search_path")},
		"role":                           {within: msgQuery("SET ROLE nobody_in_particular")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bed := newRolesTestbed(t, itemSchema+`
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.item (id int PRIMARY KEY, body jsonb);
DO $$ BEGIN CREATE ROLE nobody_in_particular; EXCEPTION WHEN OTHERS THEN NULL; END $$;`)
			s := bed.sidecar()
			direct, through := dialRaw(t, bed.postgres.DSN(bed.database)), dialRaw(t, s.dsn())
			compare := func(what string, step step) {
				t.Helper()
				want, got := direct.ask(step.send), through.ask(step.send)
				if !bytes.Equal(want, got) {
					t.Errorf("%s: Postgres says\n%s\nthe sidecar says\n%s", what, show(want), show(got))
				}
			}
			parse := synced(msgParse("s", "SELECT * FROM item WHERE id = $1"), msgDescribe('S', "s"))
			compare("parse", parse)
			servers.Eventually(t, "a hit before the change", func() bool {
				compare("before", use)
				compare("before", describe)
				return s.count(HitL1) > 0
			})
			if change.direct != "" {
				bed.exec(change.direct)
			} else {
				compare("change", step{send: change.within})
			}
			// Another client has the new rows and the new description loaded into the cache.
			other := dialRaw(t, s.dsn())
			other.ask(change.within, query("SELECT").send)
			if change.within != nil {
				other.until("Z")
			}
			other.ask(parse.send)
			for range 3 {
				other.ask(describe.send)
				other.ask(use.send)
			}
			compare("after", describe)
			for range 3 {
				compare("after", use)
				compare("after", describe)
			}
			if name == "another table made" || name == "rights granted" {
				servers.Eventually(t, "hits after a change that does not matter", func() bool {
					before := s.count(HitL1)
					through.ask(use.send)
					return s.count(HitL1) > before
				})
			}
		})
	}
}
