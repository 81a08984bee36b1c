package wire

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// messagesSchema has what the drivers of byMessages read, and the role programs that they are: no
// superuser.
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

// byOldPG8000 is a statement as pg8000 1.10, Debian's, executes it: prepared once before, bound to a
// portal with a name, which is closed in one more round trip.
func byOldPG8000(statement, portal string, values ...string) []step {
	b := binding{portal: portal, statement: statement}
	for _, v := range values {
		b.values = append(b.values, []byte(v))
	}
	return []step{synced(withFlush(b.message()), withFlush(msgExecute(portal, 100))), synced(withFlush(msgClose('P', portal)))}
}

// byMessages are drivers that do not run here: the messages that each sends for one read or more
// stand for it.
var byMessages = []struct {
	name  string
	reads uint64 // in steps
	steps []step // played again and again
	once  []step // played before: what the driver prepares
}{
	{name: "psqlODBC, transactions", reads: 1, steps: []step{query("BEGIN;SELECT name FROM item WHERE id = 1"), query("COMMIT")}},
	{name: "psqlODBC, a savepoint for each statement", reads: 2, steps: []step{
		query("BEGIN;SAVEPOINT _EXEC_SVP_0x55d0;SELECT name FROM item WHERE id = 1"), query("RELEASE _EXEC_SVP_0x55d0"),
		query("SAVEPOINT _EXEC_SVP_0x55d1;SELECT name FROM item WHERE id = 2"), query("RELEASE _EXEC_SVP_0x55d1"), query("COMMIT"),
	}},
	{name: "pg8000, autocommit", reads: 1, steps: byPG8000(readItem, "3")},
	{name: "pg8000, transactions", reads: 1, steps: append(append([]step{query("begin transaction")}, byPG8000(readItem, "3")...), byPG8000("commit")...)},
	{name: "pg8000 1.10, autocommit", reads: 1, steps: byOldPG8000("s", "pg8000_portal_3", "3"), once: []step{
		synced(withFlush(msgParse("s", readItem)), withFlush(msgDescribe('S', "s"))),
	}},
	{name: "pg8000 1.10, transactions", reads: 2, steps: slices.Concat(
		byOldPG8000("b", "pg8000_portal_4"), byOldPG8000("s", "pg8000_portal_5", "3"), byOldPG8000("s", "pg8000_portal_6", "4"), byOldPG8000("c", "pg8000_portal_7"),
	), once: []step{
		synced(withFlush(msgParse("b", "begin transaction")), withFlush(msgDescribe('S', "b"))), synced(withFlush(msgParse("c", "commit")), withFlush(msgDescribe('S', "c"))),
		synced(withFlush(msgParse("s", readItem)), withFlush(msgDescribe('S', "s"))),
	}},
	{name: "JDBC, a fetch size", reads: 2, steps: []step{
		synced(msgParse("", "BEGIN"), msgBind(""), msgExecute("", 0), msgParse("", readItem), binding{portal: "C_1", values: [][]byte{[]byte("3")}}.message(), msgDescribe('P', "C_1"), msgExecute("C_1", 50)),
		synced(msgClose('P', "C_1"), msgParse("", readItem), binding{portal: "C_2", values: [][]byte{[]byte("4")}}.message(), msgDescribe('P', "C_2"), msgExecute("C_2", 50)),
		synced(msgClose('P', "C_2"), msgParse("", "COMMIT"), msgBind(""), msgExecute("", 1)),
	}},
	{name: "node-postgres, cursors", reads: 2, steps: []step{
		part("T", oneItem("C_1", "3")), part("C", msgExecute("C_1", 100)), synced(),
		part("T", oneItem("C_2", "4")), part("s", msgExecute("C_2", 1)), part("C", msgExecute("C_2", 1)), synced(),
	}},
	{name: "psycopg 3, a pipeline of fetches", reads: 3, steps: []step{part("C", read("3")), part("C", read("4")), part("C", read("3")), synced()}},
	{name: "Sequelize, findOrCreate", reads: 1, steps: []step{
		query("CREATE OR REPLACE FUNCTION pg_temp.testfunc(OUT response item, OUT sequelize_caught_exception text) RETURNS RECORD AS $$ BEGIN SELECT * FROM item WHERE id = 1 INTO response; END $$ LANGUAGE plpgsql; SELECT (testfunc.response).id, testfunc.sequelize_caught_exception FROM pg_temp.testfunc(); DROP FUNCTION IF EXISTS pg_temp.testfunc();"),
		query("SELECT name FROM item WHERE id = 1"),
	}},
	{name: "Pgtcl", reads: 1, steps: []step{query("SET client_encoding TO 'UNICODE'"), query("SELECT name FROM item WHERE id = 1")}},
}

// Once the sidecar is warm, each read of each driver of byMessages is a hit, and the driver gets
// byte for byte what Postgres says.
func TestReadsOfDriversByTheirMessagesAreHits(t *testing.T) {
	t.Parallel()
	b := newRolesTestbed(t, messagesSchema)
	s := b.sidecar(patient)
	for _, driver := range byMessages {
		t.Run(driver.name, func(t *testing.T) {
			through, direct := dialRaw(t, s.dsn()+" user=programs"), dialRaw(t, b.postgres.DSN(b.database)+" user=programs")
			play := func(steps []step) {
				for i, step := range steps {
					through.send(step.send)
					direct.send(step.send)
					if got, want := through.until(step.until), direct.until(step.until); !bytes.Equal(got, want) {
						t.Fatalf("step %d: got\n%s\nPostgres says\n%s", i, show(got), show(want))
					}
				}
			}
			play(driver.once)
			const rounds = 5
			servers.Eventually(t, "nothing but hits", func() bool {
				before := s.count(HitL1)
				for range rounds {
					play(driver.steps)
				}
				hits := s.count(HitL1) - before
				t.Log(fmt.Sprint(hits, " of ", rounds*driver.reads, " reads are hits"))
				return hits == rounds*driver.reads
			})
		})
	}
}
