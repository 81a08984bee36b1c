package wire

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// The tests of this file each force an order of events in which a simpler design would serve a
// wrong answer.

// promoteCopy starts a standby with a copy of a primary's data, and promotes it. The primary goes on
// running.
func promoteCopy(t *testing.T, primary *servers.Postgres) *servers.Postgres {
	t.Helper()
	promoted := servers.StartPostgres(t, servers.PostgresOptions{})
	settings := filepath.Join(promoted.DataDir(), "postgresql.conf")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, pg := range []*servers.Postgres{primary, promoted} {
		if err := pg.Stop(servers.Fast); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(promoted.DataDir()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", primary.DataDir(), promoted.DataDir()).CombinedOutput(); err != nil {
		t.Fatalf("copy the primary: %v\n%s", err, out)
	}
	// The server's own settings replace the copied ones inside the copied file, so that the file
	// keeps its owner.
	for name, content := range map[string][]byte{settings: text, filepath.Join(promoted.DataDir(), "standby.signal"): nil} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, pg := range []*servers.Postgres{primary, promoted} {
		if err := pg.Start(); err != nil {
			t.Fatal(err)
		}
	}
	run(t, promoted, "psql", "-XqAt", "-c", "SELECT pg_promote()", promoted.DSN("postgres"))
	return promoted
}

// After a promotion the old primary may go on running, and with it the follower's connection, while
// the clients reach the promoted server. The follower's looks then say nothing about the clients'
// writes, so reads pass through for the other incarnation.
func TestReadsPassThroughWhileTheFollowerFollowsAnotherServer(t *testing.T) {
	t.Parallel()
	old := servers.StartPostgres(t, servers.PostgresOptions{})
	before := newTestbedOn(t, old, itemSchema)
	before.direct.Close(context.Background())
	promoted := promoteCopy(t, old)
	bed := &testbed{t: t, postgres: promoted, database: before.database}
	bed.direct = bed.connect(promoted.DSN(bed.database))
	s := bed.sidecar(func(_ *engine.Options, f *invalidation.FollowerOptions) {
		config, err := pgx.ParseConfig(old.FollowerDSN(bed.database))
		if err != nil {
			t.Fatal(err)
		}
		f.ConnConfig = config
	})
	bed.sidecar() // its follower looks at the promoted server, and gives that incarnation its name
	conn := s.connect()
	for version := 1; version <= 20; version++ {
		if _, err := conn.Exec(t.Context(), "UPDATE item SET version = $1 WHERE id = 7", version); err != nil {
			t.Fatal(err)
		}
		s.received()
		for range 3 {
			if got := versionOf7(t, conn); got != version {
				t.Fatalf("version %d is read, want %d, which the promoted server acknowledged", got, version)
			}
		}
	}
	report := s.Report()
	if report.Bypasses[reasons.Incarnation] == 0 || s.count(HitL1)+s.count(HitL2)+s.count(Coalesced) > 0 {
		t.Errorf("want reads passed through for %s and no hit: %+v", reasons.Incarnation, report)
	}
}

// learnExtended makes the sidecar analyse the shape of readItem, so that its next read is a load to
// be captured.
func (s *side) learnExtended(c *rawClient) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "the shape to be known", func() bool {
		before := s.count(Bypass)
		c.ask(read("8"), msgSync)
		return s.count(Bypass) == before
	})
}

// wantVersionFromCache reads item 7 until it is answered from the cache, and
// requires every answer to be the version.
func (s *side) wantVersionFromCache(c *rawClient, version string) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "a hit", func() bool {
		hits := s.count(HitL1)
		answer := c.ask(read("7"), msgSync)
		if !strings.Contains(string(answer), "\x00\x00\x00"+string(rune(len(version)))+version+"C") {
			s.bed.t.Fatalf("want version %s, got\n%s", version, show(answer))
		}
		return s.count(HitL1) > hits
	})
}

// The snapshot of a portal is taken at Bind: a write between Bind and Execute is
// not in the answer, and a label taken at Execute would claim that it is.
func TestLabelIsTakenBeforeBind(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	slow, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
	s.learnExtended(other)
	for _, version := range []string{"111", "112", "113"} {
		loads := s.count(Miss)
		slow.send(join(msgParse("", readItem), msgBind("", "7"), msgFlush))
		slow.until("12")
		bed.exec("UPDATE item SET version = " + version + " WHERE id = 7")
		s.received()
		slow.ask(msgDescribe('P', ""), msgExecute("", 0), msgSync)
		if got := s.count(Miss) - loads; got != 1 {
			t.Fatalf("%d loads for the cache by the read whose Bind came before the write, want 1: this test shows nothing. So far: %s", got, s.became())
		}
		s.wantVersionFromCache(other, version)
	}
}

// The messages up to a Sync are one transaction. An error in it rolls back a row that a read before
// the error has shown, without any event, so that the read's answer must not be captured.
func TestFailedGroupIsNotCaptured(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	writer, other := dialRaw(t, s.dsn()), dialRaw(t, s.dsn())
	s.learnExtended(other)
	execute := func(sql string) []byte { return join(msgParse("", sql), msgBind(""), msgExecute("", 0)) }
	for range 3 {
		answer := string(writer.ask(execute("UPDATE item SET version = 222 WHERE id = 7"), read("7"), execute("SELECT 1/0"), msgSync))
		if !strings.Contains(answer, "222") || !strings.Contains(answer, "22012") {
			t.Fatalf("the group read no dirty row or did not fail: %q", answer)
		}
		s.wantVersionFromCache(other, "0")
		// Nor must an answer from inside a transaction that may still be rolled back.
		writer.ask(msgQuery("BEGIN"))
		writer.ask(execute("UPDATE item SET version = 333 WHERE id = 7"), read("7"), msgSync)
		s.wantVersionFromCache(other, "0")
		writer.ask(msgQuery("ROLLBACK"))
	}
}

// In another isolation than READ COMMITTED, statements share a snapshot that is
// older than any label. Postgres does not report the setting to clients.
func TestOtherIsolationsPassThrough(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"default_transaction_isolation = 'repeatable read'", "default_transaction_isolation = 'serializable'"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, itemSchema)
			s := bed.sidecar()
			ordinary := s.connect()
			bed.exec("ALTER DATABASE " + bed.database + " SET " + setting)
			other := s.connect() // its default comes from the database
			var here string
			if err := other.QueryRow(t.Context(), "SELECT current_setting($1)", strings.Fields(setting)[0]).Scan(&here); err != nil || !strings.Contains(setting, here) {
				t.Fatalf("the session's setting is %q (%v), want %s", here, err, setting)
			}
			s.warm(ordinary)
			report := s.Report()
			for range 5 {
				versionOf7(t, other)
			}
			after := s.Report()
			if passed := after.Queries[Bypass.String()] - report.Queries[Bypass.String()]; passed != 5 {
				t.Errorf("%d of 5 reads were passed through, want all: %+v", passed, after.Bypasses)
			}
		})
	}
}

// A statement that ends with an error may have committed a write before: the session's next read
// shows that write, though the follower looks only when somebody demands it.
func TestWritesCommittedByFailedStatementsAreRead(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	bed.exec("CREATE PROCEDURE commits_and_fails(v int) LANGUAGE plpgsql AS 'BEGIN UPDATE item SET version = v WHERE id = 7; COMMIT; RAISE EXCEPTION $$x$$; END'")
	s := bed.sidecar(lazy)
	conn := s.connect()
	for want, statement := range map[int]string{
		1: "BEGIN; UPDATE item SET version = 1 WHERE id = 7; COMMIT; SELECT 1/0",
		2: "CALL commits_and_fails(2)",
	} {
		s.warm(conn)
		if _, err := conn.PgConn().Exec(t.Context(), statement).ReadAll(); err == nil {
			t.Fatalf("%s succeeded, want an error", statement)
		}
		if got := versionOf7(t, conn); got != want {
			t.Errorf("%s: version %d, want %d, which was committed", statement, got, want)
		}
	}
}
