package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/conversation"
)

// withoutEvents drops Freshet's event triggers, as in a database where nobody may create any.
const withoutEvents = "DROP EVENT TRIGGER freshet_ddl_start; DROP EVENT TRIGGER freshet_ddl_end; DROP EVENT TRIGGER freshet_drop"

const viewSchema = itemSchema + `
CREATE VIEW seen AS SELECT id, 0 AS version FROM item;
CREATE FUNCTION define(int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE format('CREATE OR REPLACE VIEW seen AS SELECT id, %s AS version FROM item', $1); END $$;
CREATE PROCEDURE defining(int) LANGUAGE plpgsql AS $$ BEGIN PERFORM define($1); END $$;`

// Without event triggers, a definition that a session of the sidecar makes, by whichever statement,
// is seen by all sessions of the sidecar at once. A definition that was made elsewhere is found when
// the follower compares definitions: here once an hour, or when the follower is told to suspect one.
func TestOwnDefinitionsAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, viewSchema)
	bed.exec(withoutEvents)
	s := bed.sidecar(lazy, func(c *engine.Options, f *invalidation.FollowerOptions) {
		c.Staleness, f.Definitions = 3*time.Hour, time.Hour
	})
	const read = "SELECT version FROM seen WHERE id = 7"
	reader, definer := s.connect(), s.connect()
	version := func() (version int) {
		t.Helper()
		if err := reader.QueryRow(t.Context(), read).Scan(&version); err != nil {
			t.Fatal(err)
		}
		return version
	}
	warm := func() {
		t.Helper()
		servers.Eventually(t, "a hit", func() bool {
			before := s.count(HitL1)
			version()
			return s.count(HitL1) > before
		})
	}
	bounded := s.bounded()
	seenBounded := func() (version int) {
		t.Helper()
		if err := bounded.QueryRow(t.Context(), read).Scan(&version); err != nil {
			t.Fatal(err)
		}
		return version
	}
	view := func(n int) string {
		return fmt.Sprintf("CREATE OR REPLACE VIEW seen AS SELECT id, %d AS version FROM item", n)
	}
	for i, define := range []struct {
		name string
		sql  func(n int) []string
		mode pgx.QueryExecMode
	}{
		{"DDL", func(n int) []string { return []string{view(n)} }, pgx.QueryExecModeSimpleProtocol},
		{"DDL, extended", func(n int) []string { return []string{view(n)} }, pgx.QueryExecModeExec},
		{"in a block", func(n int) []string {
			return []string{"BEGIN", view(n), "INSERT INTO item VALUES (-1, 'x') ON CONFLICT DO NOTHING", "COMMIT"}
		}, pgx.QueryExecModeSimpleProtocol},
		{"several statements in one query", func(n int) []string { return []string{"UPDATE item SET name = 'x' WHERE id = 1; " + view(n)} }, pgx.QueryExecModeSimpleProtocol},
		{"DO", func(n int) []string { return []string{fmt.Sprintf("DO 'BEGIN PERFORM define(%d); END'", n)} }, pgx.QueryExecModeSimpleProtocol},
		{"CALL", func(n int) []string { return []string{fmt.Sprintf("CALL defining(%d)", n)} }, pgx.QueryExecModeExec},
		{"a function", func(n int) []string { return []string{fmt.Sprintf("SELECT define(%d)", n)} }, pgx.QueryExecModeExec},
		{"EXECUTE", func(n int) []string {
			return []string{"PREPARE d AS SELECT define($1)", fmt.Sprintf("EXECUTE d(%d)", n)}
		}, pgx.QueryExecModeSimpleProtocol},
	} {
		warm()
		n := i + 1
		for _, sql := range define.sql(n) {
			mustExec(t, definer, sql, define.mode)
		}
		if got := version(); got != n {
			t.Fatalf("%s: another session is shown %d, want %d", define.name, got, n)
		}
	}
	warm()
	n := seenBounded()
	bed.exec(view(99))
	bed.exec("UPDATE item SET name = 'y' WHERE id = 8") // rows are seen, whichever session writes them
	mustExec(t, reader, "SET freshet.consistency = 'strong'")
	var name string
	if err := reader.QueryRow(t.Context(), "SELECT name FROM item WHERE id = 8").Scan(&name); err != nil || name != "y" {
		t.Errorf("a strong read is shown %q, %v; want y", name, err)
	}
	if got := seenBounded(); got != n {
		t.Errorf("before the definitions are compared %d is shown, want %d: this test shows nothing", got, n)
	}
	s.follower.Suspect()
	if err := s.follower.Confirm(t.Context(), fence.Now()); err != nil {
		t.Fatal(err)
	}
	if got := seenBounded(); got != 99 {
		t.Errorf("behind the comparison %d is shown, want 99", got)
	}
}

// suspected is a follower of a given state that notes when it was last told to suspect a change.
type suspected struct {
	idleFollower
	state *invalidation.State
	at    fence.Instant
}

func (s *suspected) State() *invalidation.State { return s.state }
func (s *suspected) Suspect()                   { s.at = fence.Now() }

// A statement that may have changed definitions has the follower suspect so before its write is
// marked: else the interleaving at invalidation.Follower.Suspect is possible. Where event triggers
// report definitions, or where the statement can have written rows alone, nothing is suspected.
func TestDefinitionsAreSuspectedBeforeTheMark(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, viewSchema)
	reported := bed.sidecar().follower.State()
	bed.exec(withoutEvents)
	unreported := bed.sidecar().follower.State()
	for _, c := range []struct {
		sql   string
		state *invalidation.State
		want  bool
	}{
		{"CREATE TABLE a ()", unreported, true},
		{"SELECT define(1)", unreported, true},
		{"SELECT * INTO copy FROM item", unreported, true},
		{"EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1", unreported, true},
		{"CREATE TABLE a ()", reported, false},
		{"UPDATE item SET version = 1", unreported, false},
		{"UPDATE item SET version = 1; DROP TABLE item", unreported, true},
		{"SELECT version FROM item", unreported, false},
		{"COMMIT", unreported, false},
	} {
		s := unconnected(t)
		follower := &suspected{state: c.state}
		s.server.follower = follower
		s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Effect: effectOfText(c.sql)})
		s.receive(t, msgComplete("X"))
		marked := s.server.fence.Marked(nil)
		if got := follower.at != 0; got != c.want || got && follower.at > marked {
			t.Errorf("%s: suspected at %v, marked at %v, want suspicion %v before the mark", c.sql, follower.at, marked, c.want)
		}
	}
}
