package wire

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// analysed waits until the sidecar has analysed a statement that a client has sent.
func (s *side) analysed(sql string) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "the analysis of "+sql, func() bool { return s.knows(sql) })
}

// knows reports whether a statement that a client has sent is analysed.
func (s *side) knows(sql string) bool {
	return slices.ContainsFunc(s.verdicts.All(), func(slot *shapes.Slot) bool { return slot.SQL() == sql && !slot.Pending() })
}

// probes returns how many probes the sidecar has made.
func (s *side) probes() uint64 { return s.Report().UpstreamProbes }

// A write for which Postgres runs no code of the user's leaves the session's state known, alone or in a
// transaction, and in each form in which it may be sent: no probe follows, and the fence marks only the
// tables that are written.
func TestHarmlessWriteIsFollowedByNoProbe(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	bed := s.bed
	const (
		update = "UPDATE item SET version = version + 1 WHERE id = 7"
		insert = "INSERT INTO item (id, name) VALUES (1000, 'new') ON CONFLICT (id) DO UPDATE SET version = item.version + 1"
		remove = "DELETE FROM item WHERE id = 1000"
		merge  = "MERGE INTO item USING (SELECT 7 AS id) s ON item.id = s.id WHEN MATCHED THEN UPDATE SET version = item.version + 1"
		locks  = "SELECT version FROM item WHERE id = 7 FOR UPDATE"
		now    = "SELECT now()"
		copied = "COPY item (id, name) FROM STDIN"
	)
	work := func(t *testing.T, conn *pgx.Conn, mode pgx.QueryExecMode) {
		t.Helper()
		for _, sql := range []string{update, insert, remove, merge, locks, now, "BEGIN", update, insert, remove, "COMMIT",
			"BEGIN", update, "SAVEPOINT a1", insert, "ROLLBACK TO a1", "RELEASE a1", locks, "ROLLBACK"} {
			mustExec(t, conn, sql, mode)
			if conn.PgConn().TxStatus() == 'I' {
				if got, want := versionOf7(t, conn), versionOf7(t, bed.direct); got != want {
					t.Errorf("behind %s the session reads version %d, want %d", sql, got, want)
				}
			}
		}
		mustExec(t, conn, "BEGIN")
		mustExec(t, conn, update, mode)
		versionOf7(t, conn)
		mustExec(t, conn, "COMMIT")
		if _, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("2000\tcopied\n"), copied); err != nil {
			t.Fatal(err)
		}
		mustExec(t, conn, "DELETE FROM item WHERE id = 2000", mode)
		versionOf7(t, conn)
	}
	conn := s.connect()
	work(t, conn, pgx.QueryExecModeSimpleProtocol)
	for _, sql := range []string{update, insert, remove, merge, locks, now, copied} {
		s.analysed(sql)
	}
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple": pgx.QueryExecModeSimpleProtocol, "prepared": pgx.QueryExecModeCacheStatement, "unnamed": pgx.QueryExecModeExec,
	} {
		conn := s.connect()
		work(t, conn, mode) // has each statement analysed in this form
		// A change of the schema that is taken in meanwhile has each session probed: hence more than one
		// attempt.
		servers.Eventually(t, name+": writes that no probe follows", func() bool {
			s.received()
			before, all := s.probes(), s.fence.Marked(nil)
			work(t, conn, mode)
			return s.probes() == before && s.fence.Marked(nil) == all
		})
	}
}

// A write to one table demands no look for entries of other tables: they go on being hits while the
// follower hears nothing of Postgres.
func TestWriteLeavesOtherTablesServed(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema+`; CREATE TABLE other (id int PRIMARY KEY, v int); INSERT INTO other VALUES (1, 0)`)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	const write = "UPDATE other SET v = v + 1 WHERE id = 1"
	writer, reader := s.connect(), s.connect()
	mustExec(t, writer, write)
	s.analysed(write)
	for range doubtedMax { // before one of these the session's state is probed
		mustExec(t, writer, write)
	}
	s.warm(reader)
	ear.close() // the follower can make no look
	t.Cleanup(ear.open)
	hits := s.count(HitL1)
	for range 10 {
		mustExec(t, writer, write)
		versionOf7(t, reader)
	}
	if n := s.count(HitL1) - hits; n != 10 {
		t.Errorf("%d of 10 reads of another table were hits, want all", n)
	}
	ear.open()
	var v int
	if err := reader.QueryRow(t.Context(), "SELECT v FROM other WHERE id = 1").Scan(&v); err != nil || v != 11+doubtedMax {
		t.Errorf("the table that was written to shows %d, %v, want %d", v, err, 11+doubtedMax)
	}
}

// whereSchema has a table here in each of two schemas, and all kinds of objects by which a write runs
// code of the user's. That code changes the search_path, so that here is the table of schema b.
const whereSchema = `
	CREATE SCHEMA a; CREATE SCHEMA b;
	CREATE TABLE public.spare (id int);
	CREATE FUNCTION goes() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'b, public', false); RETURN 1; END$$;
	CREATE FUNCTION goes_if(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM goes(); RETURN v; END$$;
	CREATE FUNCTION goes_on() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM goes(); RETURN coalesce(NEW, OLD); END$$;
	CREATE TABLE plain (id int, v int DEFAULT 0 CHECK (v >= 0));
	CREATE TABLE triggered (id int); CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE late (id int); CREATE CONSTRAINT TRIGGER t AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE defaulted (id int, v int DEFAULT goes());
	CREATE TABLE checked (id int CHECK (goes() = 1));
	CREATE TABLE generated (id int, v int GENERATED ALWAYS AS (goes_if(id)) STORED);
	CREATE TABLE indexed (id int); CREATE INDEX ON indexed (goes_if(id));
	CREATE TABLE indexed_partly (id int); CREATE INDEX ON indexed_partly (id) WHERE goes_if(id) > 0;
	CREATE DOMAIN doubted AS int CHECK (goes_if(VALUE) = VALUE); CREATE TABLE of_domain (id doubted);
	CREATE TABLE ruled (id int); CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT goes();
	CREATE TABLE partitioned (id int) PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF partitioned FOR VALUES FROM (0) TO (10);
	CREATE TRIGGER t BEFORE INSERT ON leaf FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE by_expression (id int) PARTITION BY RANGE (goes_if(id)); CREATE TABLE leaf_2 PARTITION OF by_expression FOR VALUES FROM (0) TO (10);
	CREATE TABLE referred (id int PRIMARY KEY); CREATE TABLE referring (id int REFERENCES referred ON DELETE CASCADE);
	INSERT INTO referred SELECT generate_series(1, 1000); INSERT INTO referring SELECT generate_series(1, 1000);
	CREATE TRIGGER t BEFORE DELETE ON referring FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE secured (id int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON secured WITH CHECK (goes() = 1);
	CREATE VIEW instead AS SELECT 1 AS id; CREATE TRIGGER t INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE logged (v int); INSERT INTO logged VALUES (0);
	CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE logged SET v = v + 1; RETURN NEW; END$$;
	CREATE TABLE a.here (name text); INSERT INTO a.here VALUES ('a');
	CREATE TABLE b.here (name text); INSERT INTO b.here VALUES ('b');
	GRANT ALL ON ALL TABLES IN SCHEMA public, a, b TO PUBLIC; GRANT USAGE ON SCHEMA a, b TO PUBLIC`

// schemaOfHere returns the schema in which a session's search_path finds the table here.
func schemaOfHere(t *testing.T, conn *pgx.Conn) (name string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT name FROM here").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// watchSchemas watches the tables of the schemas a and b too.
func (b *testbed) watchSchemas() *testbed {
	b.t.Helper()
	if _, err := invalidation.Install(context.Background(), b.direct, invalidation.Options{Watch: []string{"a.*", "b.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// A write runs code of the user's that changes a setting: by a trigger, a default, a constraint, an
// index and so on. In whatever way, the next read is answered under the new setting.
func TestSettingChangedByCodeBehindAWriteIsNoticed(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, whereSchema).watchSchemas()
	s := bed.sidecar()
	for i, sql := range []string{
		"INSERT INTO triggered VALUES (1)", "INSERT INTO late VALUES (1)", "INSERT INTO defaulted (id) VALUES (1)", "INSERT INTO checked VALUES (1)",
		"INSERT INTO generated VALUES (1)", "INSERT INTO indexed VALUES (1)", "INSERT INTO indexed_partly VALUES (1)",
		"INSERT INTO of_domain VALUES (1)", "INSERT INTO ruled VALUES (1)", "INSERT INTO partitioned VALUES (1)", "INSERT INTO by_expression VALUES (1)",
		"DELETE FROM referred WHERE id = (SELECT max(id) FROM referred)", "INSERT INTO instead VALUES (1)", "INSERT INTO secured VALUES (1)",
		"INSERT INTO plain VALUES (1, 1) RETURNING goes()", "UPDATE plain SET v = 1 WHERE goes() = 1", "SELECT goes()",
		"WITH w AS (INSERT INTO triggered VALUES (1) RETURNING id) SELECT id FROM w", "INSERT INTO plain (id) SELECT goes()",
	} {
		conn := s.connect()
		if strings.Contains(sql, "secured") {
			mustExec(t, conn, "SET ROLE "+servers.Follower) // to which the policy of the table applies
		}
		for _, inBlock := range []bool{false, true} {
			attempt := func() {
				mustExec(t, conn, "SET search_path = a, public")
				if got := schemaOfHere(t, conn); got != "a" {
					t.Fatalf("statement %d: before it the session reads the table of schema %s, want a", i, got)
				}
				if inBlock {
					mustExec(t, conn, "BEGIN", pgx.QueryExecModeSimpleProtocol)
				}
				mustExec(t, conn, sql, pgx.QueryExecModeSimpleProtocol)
				if inBlock {
					mustExec(t, conn, "COMMIT", pgx.QueryExecModeSimpleProtocol)
				}
				if got := schemaOfHere(t, conn); got != "b" {
					t.Errorf("behind %s (in a block: %v) the session reads the table of schema %s, want b, as the search_path has changed", sql, inBlock, got)
				}
			}
			attempt()
			// An event of the server, or a look that a busy machine delays, may drop the verdict at any
			// moment, and only who sends the statement has it analysed: hence more than one attempt.
			servers.Eventually(t, "an attempt of "+sql+" that is analysed all the while", func() bool {
				known, generation := s.knows(sql), s.verdicts.Generation()
				attempt()
				return known && s.verdicts.Generation() == generation
			})
		}
	}
}

// The interleaving at the top of understood.go: a write is known to run no code of the user's, and then
// another client gives its table a trigger that changes the search_path. The writer's next read is not
// answered from an entry of the old search_path, and its answer is not kept as one.
func TestTriggerFromElsewhereIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} { // whether the cache has the answer under the old search_path
		bed := newQuietTestbed(t, whereSchema).watchSchemas()
		s := bed.sidecar(lazy)
		const write = "INSERT INTO plain VALUES (1)"
		conn, other := s.connect(), s.connect()
		for _, c := range []*pgx.Conn{conn, other} {
			mustExec(t, c, "SET search_path = a, public")
			schemaOfHere(t, c)
		}
		mustExec(t, other, "SET freshet.consistency = 'bounded'")
		mustExec(t, conn, write)
		s.analysed(write)
		schemaOfHere(t, conn)
		read := "SELECT name FROM here"
		if !known { // a statement whose shape is analysed, and whose answer is in no cache
			read = "SELECT name FROM here WHERE name <> $1"
			mustExec(t, conn, read, "x")
			s.analysed(read)
		}
		mustExec(t, conn, write)
		schemaOfHere(t, conn)
		s.received()

		probes := s.probes()
		bed.exec("CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION goes_on()")
		mustExec(t, conn, write)
		var args []any
		if !known {
			args = []any{"y"}
		}
		var got string
		if err := conn.QueryRow(t.Context(), read, args...).Scan(&got); err != nil || got != "b" {
			t.Errorf("behind the trigger (the old answer is in the cache: %v) the session reads the table of schema %q, %v, want b", known, got, err)
		}
		for range 3 {
			if err := other.QueryRow(t.Context(), read, args...).Scan(&got); err != nil || got != "a" {
				t.Errorf("another session, whose search_path has not changed, reads the table of schema %q, %v, want a", got, err)
			}
		}
		if got := schemaOfHere(t, conn); got != "b" {
			t.Errorf("behind the trigger the second read is of the table of schema %q, want b", got)
		}
		if s.probes() == probes {
			t.Error("the sidecar has made no probe: this shows nothing")
		}
	}
}

// anyAnalyzer is an analyzer for a book of verdicts that is asked for none.
type anyAnalyzer struct{ shapes.Analyzer }

func (anyAnalyzer) Forget() {}

// The interleaving described at assumedWrongly: a probe finds the same settings as before, and yet what
// was parsed since the assumption is not relied on any more once the assumption is found wrong.
func TestProbeEndsNoAssumption(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	s.server.verdicts = shapes.NewBook(anyAnalyzer{}, nil)
	s.known.Note(&probe.State{})
	parsed := &statements.Prepared{Statement: &statements.Statement{KeepsSettings: true}}
	parses := func() { s.statements.ParsedUnder(parsed, &statements.Meaning{}) }
	s.adopt(&probe.State{ParseTime: digest.Of([]byte("a"))})
	parses()
	s.assume(s.server.verdicts.Generation())
	s.noteMayChange()
	s.adopt(&probe.State{ParseTime: digest.Of([]byte("a"))})
	if !s.statements.ReadsNow(parsed) {
		t.Fatal("the statement does not count as read under the settings of now, though no assumption was wrong yet")
	}
	s.server.verdicts.SchemaChanged() // the event of the trigger is received
	if s.assumptionHolds() || s.statements.MayReadNow(parsed) || s.talk.Clean() {
		t.Errorf("after a wrong assumption the state holds: %v, the statement may count as read under the settings of now: %v, the session is clean: %v, want false of each",
			s.known.Holds(), s.statements.MayReadNow(parsed), s.talk.Clean())
	}
	s.adopt(&probe.State{ParseTime: digest.Of([]byte("a"))})
	if !s.assumptionHolds() {
		t.Error("the state does not hold behind a probe that follows the wrong assumption")
	}

	// A session of bounded consistency demands no look that could find an assumption wrong. So it
	// makes none, and relies on no statement that was parsed under one.
	parses()
	s.assume(s.server.verdicts.Generation())
	s.adopt(&probe.State{ParseTime: digest.Of([]byte("a")), Demands: probe.Demands{Level: fence.Bounded}})
	if s.assumption.made || s.statements.ReadsNow(parsed) {
		t.Errorf("a session that has become bounded assumes: %v, and relies on the statement: %v, want false of both", s.assumption.made, s.statements.ReadsNow(parsed))
	}
}

// The schema changes while a session assumes something, and so the session's prepared statement with a
// date in it is doubted. Its reads become hits again, unless the session itself has changed a setting
// since it began to assume.
func TestDoubtedStatementsHitAgain(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, whereSchema).watchSchemas()
	s := bed.sidecar(lazy)
	conn := s.connect()
	const write, read = "INSERT INTO spare VALUES (1)", "SELECT count(*) FROM plain WHERE '2024-01-02'::date > '2024-01-01' AND id >= $1"
	hits := func() bool {
		before := s.count(HitL1)
		mustExec(t, conn, read, 0)
		return s.count(HitL1) > before
	}
	writesMeanwhile := func(definition string) {
		t.Helper()
		servers.Eventually(t, "a hit", hits)
		mustExec(t, conn, write)
		s.analysed(write)
		servers.Eventually(t, "a hit behind a write", hits)
		mustExec(t, conn, write) // the session assumes that this write has run no code of the user's
		bed.exec(definition)
	}
	writesMeanwhile("COMMENT ON TABLE spare IS 'a'")
	s.received()
	servers.Eventually(t, "a hit behind a change of the schema", hits)

	writesMeanwhile("COMMENT ON TABLE spare IS 'b'")
	mustExec(t, conn, "SET DateStyle = 'ISO, DMY'")
	mustExec(t, conn, "SET DateStyle = 'ISO, MDY'")
	before := s.Report().Bypasses[reasons.ParsedUnder]
	s.received()
	for range 5 {
		if hits() {
			t.Error("a statement is a hit though Postgres may have read its date under settings that the session has changed since")
		}
	}
	if s.Report().Bypasses[reasons.ParsedUnder] == before {
		t.Errorf("no read passed through for %s: this shows nothing; so far: %s", reasons.ParsedUnder, s.became())
	}
}

// The interleaving described at reliesOn: a trigger that was made through this sidecar marks the table
// it writes to, although its event is not received yet.
func TestTriggerMadeHereMarksItsTables(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, whereSchema)
	s := bed.sidecar(lazy)
	const write, read = "INSERT INTO plain VALUES (1)", "SELECT v FROM logged"
	writer, definer, reader := s.connect(), s.connect(), s.connect()
	mustExec(t, writer, write)
	s.analysed(write)
	logged := func(conn *pgx.Conn) (v int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), read).Scan(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	servers.Eventually(t, "a hit", func() bool {
		before := s.count(HitL1)
		logged(reader)
		return s.count(HitL1) > before
	})
	mustExec(t, definer, "CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION logs()")
	mustExec(t, writer, write)
	if got := logged(reader); got != 1 {
		t.Errorf("behind the first write with the trigger the reader is shown %d, want 1", got)
	}
	mustExec(t, writer, write)
	if got := logged(reader); got != 2 {
		t.Errorf("behind the second write with the trigger the reader is shown %d, want 2", got)
	}
}

// A client writes other values into the text of each statement. The texts share a verdict or have none:
// they are not analysed one by one.
func TestTextsThatDifferInValuesAreNotAnalysedOneByOne(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	conn := s.connect()
	before := s.Analysis().Analysed
	first := rand.IntN(1 << 30) // no earlier test has sent these values
	for i := first; i < first+20; i++ {
		mustExec(t, conn, fmt.Sprintf("UPDATE item SET name = E'\\t%d' WHERE id = 7", i), pgx.QueryExecModeSimpleProtocol)
		mustExec(t, conn, fmt.Sprintf("UPDATE item SET version = %d WHERE id = 7", i), pgx.QueryExecModeSimpleProtocol)
		versionOf7(t, conn)
	}
	if n := s.Analysis().Analysed - before; n > 3 {
		t.Errorf("%d shapes are analysed for two kinds of writes and a read, want 3 at most", n)
	}
}

// wishes counts the looks that a cache asks its follower for: confirmed counts those that a read waits
// for, woken the others.
type wishes struct{ confirmed, woken atomic.Int64 }

// of makes a sidecar whose wishes are counted.
func (w *wishes) of(c *engine.Options, _ *invalidation.FollowerOptions) {
	wake, confirm := c.Wake, c.Confirm
	c.Wake = func() { w.woken.Add(1); wake() }
	c.Confirm = func(ctx context.Context, at fence.Instant) error { w.confirmed.Add(1); return confirm(ctx, at) }
}

func (w *wishes) all() int64 { return w.confirmed.Load() + w.woken.Load() }

// A read behind a write waits for no look if one has begun since the write was acknowledged, even if
// that was before the read came. Where a session has the habit of reading behind its writes, the
// acknowledgement of a write asks for that look itself.
func TestReadBehindAWriteIsServedByALookSinceItsAcknowledgement(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	var wishes wishes
	s := bed.sidecar(lazy, wishes.of)
	conn := s.connect()
	const write = "UPDATE item SET version = version + 1 WHERE id = 8"
	mustExec(t, conn, write)
	s.analysed(write)
	s.warm(conn)
	for range doubtedMax {
		mustExec(t, conn, write) // before one of these the session's state is probed
	}
	versionOf7(t, conn)
	for range 10 {
		mustExec(t, conn, write)
		s.received()
		waits, hits := wishes.confirmed.Load(), s.count(HitL1)
		versionOf7(t, conn)
		if n := s.count(HitL1) - hits; n != 1 {
			t.Errorf("%d hits behind a write, want 1", n)
		}
		if n := wishes.confirmed.Load() - waits; n != 0 {
			t.Errorf("a read waited for %d looks, want none, as one has begun behind the write", n)
		}
	}
	servers.Eventually(t, "the acknowledgement of a write to ask for a look", func() bool {
		before := wishes.woken.Load()
		mustExec(t, conn, write)
		asked := wishes.woken.Load() > before
		versionOf7(t, conn)
		return asked
	})
}

// A session reads one row after another, each for the first time, and changes it. No look is asked for:
// its loads are kept at once, and its transactions begin without one.
func TestTransactionsThatMissAskForNoLook(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema)
	bed.faults = new(faultyFollower)
	var wishes wishes
	s := bed.sidecar(lazy, wishes.of)
	conn := s.connect()
	const read, write = "SELECT version FROM item WHERE id = $1", "UPDATE item SET version = version + 1 WHERE id = $1"
	transaction := func(id int) {
		t.Helper()
		var version int
		mustExec(t, conn, "BEGIN")
		if err := conn.QueryRow(t.Context(), read, id).Scan(&version); err != nil {
			t.Fatal(err)
		}
		mustExec(t, conn, write, id)
		mustExec(t, conn, "COMMIT")
	}
	transaction(1)
	s.analysed(read)
	s.analysed(write)
	for id := range doubtedMax {
		transaction(id + 1) // in one of these the session's state is probed
	}
	s.received()
	missed, looks := s.count(Miss), wishes.all()+bed.faults.woken.Load()
	const rows = 50
	for i := range rows {
		transaction(20 + i)
	}
	if n := s.count(Miss) - missed; n != rows {
		t.Errorf("%d misses in %d transactions, want one in each", n, rows)
	}
	if n := wishes.all() + bed.faults.woken.Load() - looks; n != 0 {
		t.Errorf("%d looks were asked for, want none", n)
	}
}

// The interleaving described at sound: an entry was loaded under an assumption. It is sound from the
// first look on that began after the load, if the schema has not changed by then.
func TestEntryOfAnAssumptionIsSoundBehindALook(t *testing.T) {
	t.Parallel()
	s := unconnected(t).server
	s.verdicts = shapes.NewBook(anyAnalyzer{}, nil)
	look := func(at fence.Instant) {
		s.fence.Reset(&fence.Head{}, fence.Snapshot{}, nil, at)
	}
	loaded := func() (*engine.Entry, *answer.Answer) {
		a := new(answer.Answer)
		a.Assume(s.verdicts.Generation())
		return &engine.Entry{Ticket: fence.NewTicket(fence.Label{}, nil, 10), Payload: a}, a
	}
	entry, _ := loaded()
	look(9)
	if s.sound(entry) {
		t.Error("the entry is sound behind a look that began before the load had ended")
	}
	look(10)
	if !s.sound(entry) {
		t.Error("the entry is not sound behind a look that began when the load had ended")
	}
	s.verdicts.SchemaChanged()
	if !s.sound(entry) {
		t.Error("an entry that was sound is not any more, as the schema has changed later")
	}
	entry, _ = loaded()
	s.verdicts.SchemaChanged()
	if s.sound(entry) {
		t.Error("the entry is sound though the schema changed before the look")
	}

	entry, a := loaded()
	look(9)
	s.afterLooked = func() {
		s.verdicts.SchemaChanged()
		look(11)
	}
	if s.sound(entry) {
		t.Error("the entry is sound though the event of a change was received while sound asked")
	}
	if _, assumed := a.Assumes(); !assumed {
		t.Error("the entry does not carry its assumption any more, as if it were sound for ever")
	}
}
