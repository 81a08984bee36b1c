package wire

import (
	"context"
	"fmt"
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

// analysed waits until the sidecar knows what there is to know of a text, which a client
// has sent.
func (s *side) analysed(sql string) {
	s.bed.t.Helper()
	servers.Eventually(s.bed.t, "the analysis of "+sql, func() bool { return s.knows(sql) })
}

// knows reports whether a text that a client has sent is analysed.
func (s *side) knows(sql string) bool {
	return slices.ContainsFunc(s.verdicts.All(), func(slot *shapes.Slot) bool { return slot.SQL() == sql && !slot.Pending() })
}

// look waits for a look that begins now.
func (s *side) look() {
	s.bed.t.Helper()
	if err := s.follower.Confirm(context.Background(), fence.Now()); err != nil {
		s.bed.t.Fatal(err)
	}
}

func (s *side) probes() uint64 { return s.Report().UpstreamProbes }

// A write that runs nothing of the user's leaves the session known, alone and in a
// transaction, however it is sent: nobody asks for its settings, and a read behind it may
// be kept.
func TestHarmlessWritesAreNotAskedBehind(t *testing.T) {
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
					t.Errorf("behind %s version %d is read, want %d", sql, got, want)
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
		work(t, conn, mode) // each text of this shape is known behind it
		// Roles that another test makes have every session asked, now and then.
		servers.Eventually(t, name+": writes that nobody asks behind", func() bool {
			s.look()
			before, all := s.probes(), s.fence.Marked(nil)
			work(t, conn, mode)
			return s.probes() == before && s.fence.Marked(nil) == all
		})
	}
}

// A write of one table leaves the answers of others as good as they were: nobody need look.
func TestWriteLeavesOtherTablesServed(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, itemSchema+`; CREATE TABLE other (id int PRIMARY KEY, v int); INSERT INTO other VALUES (1, 0)`)
	ear := &earshot{}
	s := bed.sidecar(lazy, ear.of)
	const write = "UPDATE other SET v = v + 1 WHERE id = 1"
	writer, reader := s.connect(), s.connect()
	mustExec(t, writer, write)
	s.analysed(write)
	for range doubtedMax { // one of these finds out that the session is what it was
		mustExec(t, writer, write)
	}
	s.warm(reader)
	ear.close() // no look can come
	t.Cleanup(ear.open)
	hits := s.count(HitL1)
	for range 10 {
		mustExec(t, writer, write)
		versionOf7(t, reader)
	}
	if n := s.count(HitL1) - hits; n != 10 {
		t.Errorf("%d of 10 reads of another table were hits", n)
	}
	ear.open()
	var v int
	if err := reader.QueryRow(t.Context(), "SELECT v FROM other WHERE id = 1").Scan(&v); err != nil || v != 11+doubtedMax {
		t.Errorf("the table that was written to: %d, %v, want %d", v, err, 11+doubtedMax)
	}
}

// whereSchema has one name in two schemas, and a way to go from one to the other in
// everything that runs behind a write.
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
	INSERT INTO referred SELECT generate_series(1, 9); INSERT INTO referring SELECT generate_series(1, 9);
	CREATE TRIGGER t BEFORE DELETE ON referring FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE secured (id int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON secured WITH CHECK (goes() = 1);
	CREATE VIEW instead AS SELECT 1 AS id; CREATE TRIGGER t INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION goes_on();
	CREATE TABLE logged (v int); INSERT INTO logged VALUES (0);
	CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE logged SET v = v + 1; RETURN NEW; END$$;
	CREATE TABLE a.here (name text); INSERT INTO a.here VALUES ('a');
	CREATE TABLE b.here (name text); INSERT INTO b.here VALUES ('b');
	GRANT ALL ON ALL TABLES IN SCHEMA public, a, b TO PUBLIC; GRANT USAGE ON SCHEMA a, b TO PUBLIC`

// here is where a session's search_path leads to.
func here(t *testing.T, conn *pgx.Conn) (name string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT name FROM here").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// watchBoth watches both schemas.
func (b *testbed) watchBoth() *testbed {
	b.t.Helper()
	if _, err := invalidation.Install(context.Background(), b.direct, invalidation.Options{Watch: []string{"a.*", "b.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// However code of the user's comes to run behind a write, and changes a setting, the reads
// behind it are those of the new setting.
func TestPlantedCodeIsAskedBehind(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, whereSchema).watchBoth()
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
			mustExec(t, conn, "SET ROLE "+servers.Follower) // whom policies are for
		}
		for _, inBlock := range []bool{false, true} {
			for range 2 { // the second time all is known
				mustExec(t, conn, "SET search_path = a, public")
				if got := here(t, conn); got != "a" {
					t.Fatalf("%d: before, it is %s", i, got)
				}
				if inBlock {
					mustExec(t, conn, "BEGIN", pgx.QueryExecModeSimpleProtocol)
				}
				mustExec(t, conn, sql, pgx.QueryExecModeSimpleProtocol)
				if inBlock {
					mustExec(t, conn, "COMMIT", pgx.QueryExecModeSimpleProtocol)
				}
				if got := here(t, conn); got != "b" {
					t.Errorf("%s (in a block: %v): it is %s, as if nothing had changed the setting", sql, inBlock, got)
				}
				s.analysed(sql)
			}
		}
	}
}

// The interleaving that understood.go tells of. What is read behind the trigger is neither
// what was kept for the settings of before, nor kept for them.
func TestTriggerFromElsewhereIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		bed := newQuietTestbed(t, whereSchema).watchBoth()
		s := bed.sidecar(lazy)
		const write = "INSERT INTO plain VALUES (1)"
		conn, other := s.connect(), s.connect()
		for _, c := range []*pgx.Conn{conn, other} {
			mustExec(t, c, "SET search_path = a, public")
			here(t, c)
		}
		mustExec(t, other, "SET freshet.consistency = 'bounded'")
		mustExec(t, conn, write)
		s.analysed(write)
		here(t, conn)
		read := "SELECT name FROM here"
		if !known { // a shape that is known, of which no answer is
			read = "SELECT name FROM here WHERE name <> $1"
			mustExec(t, conn, read, "x")
			s.analysed(read)
		}
		mustExec(t, conn, write)
		here(t, conn)
		s.look()

		probes := s.probes()
		bed.exec("CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION goes_on()")
		mustExec(t, conn, write)
		var args []any
		if !known {
			args = []any{"y"}
		}
		var got string
		if err := conn.QueryRow(t.Context(), read, args...).Scan(&got); err != nil || got != "b" {
			t.Errorf("behind a trigger of a moment ago (the answer of before is kept: %v) it is %q, %v", known, got, err)
		}
		for range 3 {
			if err := other.QueryRow(t.Context(), read, args...).Scan(&got); err != nil || got != "a" {
				t.Errorf("another session, which went nowhere, is shown %q, %v", got, err)
			}
		}
		if got := here(t, conn); got != "b" {
			t.Errorf("the second read behind it is of %q", got)
		}
		if s.probes() == probes {
			t.Error("nobody has asked: this shows nothing")
		}
	}
}

// anyAnalyzer has analysed nothing yet.
type anyAnalyzer struct{ shapes.Analyzer }

func (anyAnalyzer) Forget() {}

// The interleaving that assumedWrongly tells of: what was asked for in between is as it was
// before, and yet what was parsed is relied on no more once the assumption is found wrong.
func TestAskingEndsNoAssumption(t *testing.T) {
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
		t.Fatal("what was parsed counts no more, and nothing is wrong")
	}
	s.server.verdicts.SchemaChanged() // the event of the trigger is received
	if s.assumptionHolds() || s.statements.MayReadNow(parsed) || s.talk.Clean() {
		t.Errorf("after a wrong assumption the state holds: %v, what was parsed counts: %v, the session is clean: %v",
			s.known.Holds(), s.statements.MayReadNow(parsed), s.talk.Clean())
	}
	s.adopt(&probe.State{ParseTime: digest.Of([]byte("a"))})
	if !s.assumptionHolds() {
		t.Error("what was asked for since does not count")
	}

	// Who demands bounded staleness alone demands no look that could find out.
	parses()
	s.assume(s.server.verdicts.Generation())
	s.adopt(&probe.State{ParseTime: digest.Of([]byte("a")), Demands: probe.Demands{Level: fence.Bounded}})
	if s.assumption.made || s.statements.ReadsNow(parsed) {
		t.Errorf("a session that is bounded now assumes: %v, and relies on what it has parsed: %v", s.assumption.made, s.statements.ReadsNow(parsed))
	}
}

// What a session has prepared with a date in it hits again behind a change of the schema that
// came while something was assumed, unless the session itself has changed a setting since.
func TestDoubtedStatementsHitAgain(t *testing.T) {
	t.Parallel()
	bed := newQuietTestbed(t, whereSchema).watchBoth()
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
		mustExec(t, conn, write) // and the session assumes that it has run nothing of the user's
		bed.exec(definition)
	}
	writesMeanwhile("COMMENT ON TABLE spare IS 'a'")
	s.look()
	servers.Eventually(t, "a hit behind a change of the schema", hits)

	writesMeanwhile("COMMENT ON TABLE spare IS 'b'")
	mustExec(t, conn, "SET DateStyle = 'ISO, DMY'")
	mustExec(t, conn, "SET DateStyle = 'ISO, MDY'")
	before := s.Report().Bypasses[reasons.ParsedUnder]
	s.look()
	for range 5 {
		if hits() {
			t.Error("what may have been read under settings that the session has changed since is a hit")
		}
	}
	if s.Report().Bypasses[reasons.ParsedUnder] == before {
		t.Errorf("nothing was passed through for its constants: this shows nothing; so far: %s", s.became())
	}
}

// A definition that was changed through this sidecar counts at once: the interleaving that
// reliesOn tells of.
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
		t.Errorf("behind a trigger of a moment ago %d rows are logged, want 1", got)
	}
	mustExec(t, writer, write)
	if got := logged(reader); got != 2 {
		t.Errorf("behind the second write %d rows are logged, want 2", got)
	}
}

// What a client writes into its texts is not analysed one by one.
func TestTextsThatShareNothingAreNotAnalysed(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	conn := s.connect()
	before := len(s.verdicts.All())
	for i := range 20 {
		mustExec(t, conn, fmt.Sprintf("UPDATE item SET name = E'\\t%d' WHERE id = 7", i), pgx.QueryExecModeSimpleProtocol)
		mustExec(t, conn, fmt.Sprintf("UPDATE item SET version = %d WHERE id = 7", i), pgx.QueryExecModeSimpleProtocol)
		versionOf7(t, conn)
	}
	if n := len(s.verdicts.All()) - before; n > 3 {
		t.Errorf("%d shapes of 2 kinds of writes and a read", n)
	}
}

// wishes counts the looks that a cache asks for: those that somebody waits for, and others.
type wishes struct{ confirmed, woken atomic.Int64 }

func (w *wishes) of(c *engine.Options, _ *invalidation.FollowerOptions) {
	wake, confirm := c.Wake, c.Confirm
	c.Wake = func() { w.woken.Add(1); wake() }
	c.Confirm = func(ctx context.Context, at fence.Instant) error { w.confirmed.Add(1); return confirm(ctx, at) }
}

func (w *wishes) all() int64 { return w.confirmed.Load() + w.woken.Load() }

// Who reads behind a write waits for no look if one has begun since the write was
// acknowledged, be it before the read came. And where reads tend to follow, the
// acknowledgement itself asks for that look.
func TestReadBehindAWriteIsOwedItsAcknowledgement(t *testing.T) {
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
		mustExec(t, conn, write) // one of these finds out that the session is what it was
	}
	versionOf7(t, conn)
	for range 10 {
		mustExec(t, conn, write)
		s.look()
		waits, hits := wishes.confirmed.Load(), s.count(HitL1)
		versionOf7(t, conn)
		if n := s.count(HitL1) - hits; n != 1 {
			t.Errorf("%d hits behind a write, want 1", n)
		}
		if n := wishes.confirmed.Load() - waits; n != 0 {
			t.Errorf("a read waited for a look, though one has begun behind the write")
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

// A session that reads one row after another and changes it is asked for no look by anybody:
// what it loads is kept at once, and its transactions begin without one.
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
		transaction(id + 1) // one of these finds out that the session is what it was
	}
	s.look()
	missed, looks := s.count(Miss), wishes.all()+bed.faults.woken.Load()
	const rows = 50
	for i := range rows {
		transaction(20 + i)
	}
	if n := s.count(Miss) - missed; n != rows {
		t.Errorf("%d misses in %d transactions", n, rows)
	}
	if n := wishes.all() + bed.faults.woken.Load() - looks; n != 0 {
		t.Errorf("%d looks were asked for, and nobody waited for one", n)
	}
}

// What a session assumed that loaded an answer is certain from the look on that began
// afterwards, if it was right: the interleaving that sound tells of.
func TestWhatWasAssumedIsServedWhenItIsCertain(t *testing.T) {
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
		t.Error("a look from before the load's end makes it certain")
	}
	look(10)
	if !s.sound(entry) {
		t.Error("a look from behind the load's end does not make it certain")
	}
	s.verdicts.SchemaChanged()
	if !s.sound(entry) {
		t.Error("what was certain is not any more")
	}
	entry, _ = loaded()
	s.verdicts.SchemaChanged()
	if s.sound(entry) {
		t.Error("what was assumed wrongly is certain")
	}

	entry, a := loaded()
	look(9)
	s.afterLooked = func() {
		s.verdicts.SchemaChanged()
		look(11)
	}
	if s.sound(entry) {
		t.Error("what an event spoke against that was received meanwhile is certain")
	}
	if _, assumed := a.Assumes(); !assumed {
		t.Error("it is taken for certain from now on")
	}
}
