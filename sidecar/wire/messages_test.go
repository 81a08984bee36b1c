package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// messagesSchema is what the drivers below read, as an ordinary role.
const messagesSchema = itemSchema + `
CREATE ROLE programs LOGIN;
GRANT SELECT ON item TO programs;`

// withFlush is a message with a Flush behind it.
func withFlush(message []byte) []byte { return join(message, msgFlush) }

// byPG8000 is a statement as pg8000 executes it, in three round trips.
func byPG8000(sql string, values ...string) []step {
	return []step{
		synced(withFlush(msgParse("", sql))), synced(withFlush(msgDescribe('S', ""))),
		synced(withFlush(msgBind("", values...)), withFlush(msgExecute("", 0))),
	}
}

// byMessages are drivers that are not in the distribution, by the messages that they send
// for one read or more.
var byMessages = []struct {
	name  string
	reads uint64
	steps []step
}{
	{"psqlODBC, transactions", 1, []step{query("BEGIN;SELECT name FROM item WHERE id = 1"), query("COMMIT")}},
	{"psqlODBC, a savepoint for each statement", 2, []step{
		query("BEGIN;SAVEPOINT _EXEC_SVP_0x55d0;SELECT name FROM item WHERE id = 1"), query("RELEASE _EXEC_SVP_0x55d0"),
		query("SAVEPOINT _EXEC_SVP_0x55d1;SELECT name FROM item WHERE id = 2"), query("RELEASE _EXEC_SVP_0x55d1"), query("COMMIT"),
	}},
	{"pg8000, autocommit", 1, byPG8000(readItem, "3")},
	{"pg8000, transactions", 1, append(append([]step{query("begin transaction")}, byPG8000(readItem, "3")...), byPG8000("commit")...)},
	{"Sequelize, findOrCreate", 1, []step{
		query("CREATE OR REPLACE FUNCTION pg_temp.testfunc(OUT response item, OUT sequelize_caught_exception text) RETURNS RECORD AS $$ BEGIN SELECT * FROM item WHERE id = 1 INTO response; END $$ LANGUAGE plpgsql; SELECT (testfunc.response).id, testfunc.sequelize_caught_exception FROM pg_temp.testfunc(); DROP FUNCTION IF EXISTS pg_temp.testfunc();"),
		query("SELECT name FROM item WHERE id = 1"),
	}},
	{"Pgtcl", 1, []step{query("SET client_encoding TO 'UNICODE'"), query("SELECT name FROM item WHERE id = 1")}},
}

// TestDriversByTheirMessages: once warm, each read of each driver is a hit, and it gets
// byte for byte what Postgres says.
func TestDriversByTheirMessages(t *testing.T) {
	t.Parallel()
	b := newRolesTestbed(t, messagesSchema)
	s := b.sidecar(patient)
	for _, driver := range byMessages {
		t.Run(driver.name, func(t *testing.T) {
			through, direct := dialRaw(t, s.dsn()+" user=programs"), dialRaw(t, b.postgres.DSN(b.database)+" user=programs")
			const rounds = 5
			servers.Eventually(t, "nothing but hits", func() bool {
				before := s.count(HitL1)
				for range rounds {
					for i, step := range driver.steps {
						through.send(step.send)
						direct.send(step.send)
						if got, want := through.until(step.until), direct.until(step.until); !bytes.Equal(got, want) {
							t.Fatalf("step %d: got\n%s\nPostgres says\n%s", i, show(got), show(want))
						}
					}
				}
				hits := s.count(HitL1) - before
				t.Log(fmt.Sprint(hits, " of ", rounds*driver.reads, " reads are hits"))
				return hits == rounds*driver.reads
			})
		})
	}
}
