package invalidation

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/servers"
)

// Where nothing happens nothing is read; where others write, their versions tell
// that none of it matters; and what does is found, reported or not.
func TestAuditsOfNothing(t *testing.T) {
	t.Parallel()
	const verify = 20 * time.Millisecond
	_, db := startServer(t, nil)
	f := db.follow(func(o *FollowerOptions) { o.Verify = verify })
	settle := func() (audits uint64) {
		t.Helper()
		servers.Eventually(t, "audits come to rest", func() bool {
			audits = f.Stats().Audits
			for range 5 {
				at := f.auditedAt.Load()
				servers.Eventually(t, "what is installed is looked at again", func() bool { return f.auditedAt.Load() != at })
			}
			return f.Stats().Audits == audits && audits > 0
		})
		return audits
	}
	rest := settle()
	db.run("CREATE TEMP TABLE mine (id serial PRIMARY KEY)", "INSERT INTO mine VALUES (1)", "UPDATE users SET name = 'x'", "VACUUM pg_class", "ANALYZE users", "DROP TABLE mine")
	if now := settle(); now != rest {
		t.Errorf("%d audits because of what no audit reads", now-rest)
	}
	// What a publication gets has no event, and leaves its own row as it is.
	additions := []string{"TABLE freshet.outbox"}
	if db.value("SELECT current_setting('server_version_num')::int >= 150000") == "true" {
		additions = append(additions, "TABLES IN SCHEMA freshet")
	}
	for _, what := range additions {
		db.run("CREATE PUBLICATION grown FOR TABLE users")
		settle()
		db.run("ALTER PUBLICATION grown ADD " + what)
		servers.Eventually(t, "a publication that got "+what+" is a problem", func() bool {
			return strings.Contains(strings.Join(f.State().Problems(), ""), "publication grown contains")
		})
		db.run("DROP PUBLICATION grown")
		servers.Eventually(t, "it is none any more", func() bool { return len(f.State().Problems()) == 0 })
	}
	// A superuser's hand reports nothing.
	users, kid := db.oid("users"), db.oid("kid")
	for what, statement := range map[string]string{
		"a trigger":        fmt.Sprintf("UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = %d AND tgname = 'zz_freshet_update'", users),
		"a column":         fmt.Sprintf("UPDATE pg_attribute SET attname = 'elsewhere' WHERE attrelid = %d AND attname = 'email'", users),
		"a table":          fmt.Sprintf("UPDATE pg_class SET relname = 'elsewhere' WHERE oid = %d", users),
		"a function":       "UPDATE pg_proc SET prosecdef = false WHERE proname LIKE 'capture_%'",
		"an event trigger": "UPDATE pg_event_trigger SET evtenabled = 'D'",
		"a schema":         "UPDATE pg_namespace SET nspname = 'elsewhere' WHERE nspname = 'public'",
		"a tree":           fmt.Sprintf("DELETE FROM pg_inherits WHERE inhrelid = %d", kid),
		"a role":           "CREATE ROLE someone",
	} {
		settle() // what changed before is known
		known := f.audited.Load()
		db.run("BEGIN", "SET LOCAL allow_system_table_mods = on", statement, "COMMIT")
		servers.Eventually(t, what+" that changed is found", func() bool { return f.audited.Load() != known })
	}
}

// BenchmarkIdle is the processor time that a follower takes that has nothing to do,
// of the server and of this process, in thousandths of a core.
func BenchmarkIdle(b *testing.B) {
	for _, c := range []struct {
		tables int
		rests  bool
	}{{2, false}, {1000, false}, {1000, true}} {
		b.Run(fmt.Sprintf("tables=%d/rests=%v", c.tables, c.rests), func(b *testing.B) {
			pg := servers.StartPostgres(b, servers.PostgresOptions{Settings: map[string]string{"max_locks_per_transaction": "512"}})
			dsn := pg.DSN(pg.CreateDatabase(b))
			conn := benchConn(b, dsn)
			benchRun(b, conn, fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP EXECUTE format('CREATE TABLE t%%s (id int PRIMARY KEY, a int, b text, c text, d int, e int)', i); END LOOP; END $$", c.tables))
			if _, err := Install(b.Context(), conn, Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
				b.Fatal(err)
			}
			options := FollowerOptions{Watch: []string{"public.*"}}
			if c.rests {
				options.RestAfter = time.Second
			}
			f := benchFollower(b, dsn, options)
			for audits := uint64(0); audits == 0 || audits != f.Stats().Audits; {
				audits = f.Stats().Audits
				time.Sleep(5 * time.Second) // what is done at the start is no idling
			}
			if f.Stats().Resting != c.rests {
				b.Fatalf("resting is %v", f.Stats().Resting)
			}
			rows, err := conn.Query(b.Context(), "SELECT pid FROM pg_stat_activity WHERE application_name = 'freshet follower' AND datname = current_database()")
			if err != nil {
				b.Fatal(err)
			}
			pids := []int{}
			for rows.Next() {
				var pid int
				if err := rows.Scan(&pid); err != nil {
					b.Fatal(err)
				}
				pids = append(pids, pid)
			}
			var server, own, spent time.Duration
			for b.Loop() {
				serverBefore, ownBefore, began := processorTime(b, pids...), processorTime(b, os.Getpid()), time.Now()
				time.Sleep(5 * time.Second)
				server += processorTime(b, pids...) - serverBefore
				own += processorTime(b, os.Getpid()) - ownBefore
				spent += time.Since(began)
			}
			b.ReportMetric(1000*server.Seconds()/spent.Seconds(), "server-‰")
			b.ReportMetric(float64(len(pids)), "connections")
			b.ReportMetric(1000*own.Seconds()/spent.Seconds(), "own-‰")
		})
	}
}

// processorTime is what processes have used, by Linux' count of hundredths.
func processorTime(b *testing.B, pids ...int) (sum time.Duration) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}
