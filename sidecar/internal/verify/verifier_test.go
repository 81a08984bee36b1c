package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// bed is one database, and a cache whose fence is told of its events when somebody asks
// for a look, and at no other time.
type bed struct {
	t      *testing.T
	dsn    string
	direct *pgx.Conn
	fence  *fence.Fence
	cache  *engine.Cache
	item   uint32 // the table's OID
	purged []uint32
	// told are the calls of Purge and Distrust, in order.
	told []string
	// beforeLook, unless nil, runs between an answer that differs and its look, and
	// beforeConnect before the first question.
	beforeLook, beforeConnect func()
	// log is what the verifier says.
	log bytes.Buffer
}

func newBed(t *testing.T, staleness time.Duration) *bed {
	pg := servers.SharedPostgres(t)
	b := &bed{t: t, dsn: pg.DSN(pg.CreateDatabase(t)), fence: fence.New(fence.Options{Slots: 1 << 12})}
	b.direct = b.connect(t.Context())
	b.exec("CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL); INSERT INTO item VALUES (1, 'one'), (2, 'two')")
	if _, err := invalidation.Install(t.Context(), b.direct, invalidation.Options{Watch: []string{"public.*"}}); err != nil {
		t.Fatal(err)
	}
	b.exec("INSERT INTO freshet.incarnation (token) VALUES ('one')")
	if err := b.direct.QueryRow(t.Context(), "SELECT 'item'::regclass::oid").Scan(&b.item); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.cache, err = engine.New(engine.Options{Fence: b.fence, Confirm: b.look, Staleness: staleness}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cache.Close)
	if err := b.look(t.Context(), fence.Now()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) connect(ctx context.Context) *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(ctx, b.dsn)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (b *bed) exec(sql string) {
	b.t.Helper()
	if _, err := b.direct.Exec(b.t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// look reads the outbox and tells the fence.
func (b *bed) look(ctx context.Context, _ fence.Instant) error {
	if b.beforeLook != nil {
		b.beforeLook()
	}
	began := fence.Now()
	var text, incarnation string
	var xids, tags []string
	err := b.direct.QueryRow(ctx, `SELECT pg_current_snapshot()::text, freshet.incarnation(),
		ARRAY(SELECT xid::text FROM freshet.outbox ORDER BY xid, ctid), ARRAY(SELECT array_to_string(tags, ' ') FROM freshet.outbox ORDER BY xid, ctid)`).Scan(&text, &incarnation, &xids, &tags)
	if err != nil {
		return err
	}
	snapshot, err := fence.ParseSnapshot(text)
	if err != nil {
		return err
	}
	var events []fence.Event
	for i := range xids {
		xid, err := strconv.ParseUint(xids[i], 10, 64)
		if err != nil {
			return err
		}
		event := fence.Event{XID: fence.XID(xid)}
		for _, tag := range strings.Fields(tags[i]) {
			event.Tags = append(event.Tags, fence.NewTag(tag))
		}
		if head := b.fence.Head(); head != nil && !head.Snapshot.Sees(event.XID) {
			events = append(events, event)
		}
	}
	head := &fence.Head{Incarnation: fence.Incarnation(incarnation), Snapshot: snapshot}
	if b.fence.Head() == nil {
		b.fence.Reset(head, snapshot, nil, began)
		return nil
	}
	b.fence.Advance(head, events, began)
	return nil
}

// hit loads a statement, and is a client that was served what was loaded.
func (b *bed) hit(sql string) *Hit {
	b.t.Helper()
	start, ok := b.cache.Begin()
	if !ok {
		b.t.Fatal("no head")
	}
	results, err := b.direct.PgConn().Exec(b.t.Context(), sql).ReadAll()
	if err != nil || len(results) != 1 {
		b.t.Fatal(results, err)
	}
	var body []byte
	for _, row := range results[0].Rows {
		body = protocol.AppendMessage(body, 'D', appendRow(nil, row))
	}
	body = protocol.AppendMessage(body, 'C', append([]byte(results[0].CommandTag.String()), 0))
	entry := b.cache.NewEntry(engine.Loaded{
		Key: []byte(sql), Start: start, End: fence.Now(), Payload: &answer.Answer{Body: body},
		Tags: []fence.Tag{fence.NewTag(fence.TableText(b.item)), fence.NewTag(fence.WholesaleText(b.item))},
	})
	state, err := stateOf(b.t.Context(), b.direct.PgConn(), probe.Question{Server: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return &Hit{Entry: entry, State: state, SQL: sql, Shape: sql, Tables: []string{"public.item"}, Roots: []uint32{b.item}, Determined: true}
}

func (b *bed) verifier() *Verifier {
	v := New(Options{
		Cache: b.cache, Confirm: b.look,
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			if b.beforeConnect != nil {
				b.beforeConnect()
			}
			return pgx.Connect(ctx, b.dsn)
		},
		Purge: func(_ context.Context, roots []uint32) error {
			b.purged = append(b.purged, roots...)
			b.told = append(b.told, "purge")
			return nil
		},
		Fence: b.fence, ShapeID: func(shape string) string { return "id of " + shape },
		Distrust: func(_ context.Context, shape string, roots []uint32) error {
			b.told = append(b.told, fmt.Sprintf("distrust %s %v", shape, roots))
			return nil
		},
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	b.t.Cleanup(v.hangUp)
	return v
}

// verify is what becomes of a hit.
func (b *bed) verify(h *Hit) (Result, *Verifier) {
	v := b.verifier()
	return v.verify(b.t.Context(), h), v
}

const stalenessInTests = 20 * time.Millisecond

// loseEvent changes a row, and lets nobody hear of it.
const loseEvent = "BEGIN; UPDATE item SET name = 'changed' WHERE id = 1; DELETE FROM freshet.outbox WHERE xid = pg_current_xact_id(); COMMIT"

func TestSameIsSame(t *testing.T) {
	t.Parallel()
	b := newBed(t, stalenessInTests)
	if r, _ := b.verify(b.hit("SELECT * FROM item ORDER BY id")); r != Same {
		t.Errorf("%v", r)
	}
}

// An answer whose event was lost is proven to be stale, said so, and ended.
func TestLostEventIsProvenStale(t *testing.T) {
	t.Parallel()
	b := newBed(t, stalenessInTests)
	h := b.hit("SELECT * FROM item")
	b.exec(loseEvent)
	r, v := b.verify(h)
	if r != Stale {
		t.Fatalf("%v, want stale", r)
	}
	if len(b.purged) != 1 || b.purged[0] != b.item {
		t.Errorf("%v was ended, want %d", b.purged, b.item)
	}
	for _, want := range []string{"level=ERROR", `shape="id of SELECT * FROM item"`, "tables=[public.item]", "label=", "age_seconds=", "head=" + b.fence.Head().Snapshot.String(), "head_age_seconds="} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, b.log.String())
		}
	}
	if last := v.Report().Last; last == nil || last.Shape != h.SQL || len(last.Tables) != 1 {
		t.Errorf("the finding is %+v", last)
	}
}

// A shape is distrusted once its answers are ended, which must wait for nobody: see
// invalidation.Distrust.
func TestShapeIsDistrustedBehindItsEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, stalenessInTests)
	h := b.hit("SELECT * FROM item")
	b.exec(loseEvent)
	b.verify(h)
	if want := fmt.Sprintf("[purge distrust %s [%d]]", h.Shape, b.item); fmt.Sprint(b.told) != want {
		t.Errorf("%v, want %s", b.told, want)
	}
}

// What was written after the hit, and received only with the look, is no fault:
// the interleaving is written down at Verifier.verify.
func TestWriteMeanwhileIsNeverStale(t *testing.T) {
	t.Parallel()
	const write = "UPDATE item SET name = name || '!' WHERE id = 1"
	t.Run("before it is asked", func(t *testing.T) {
		t.Parallel()
		b := newBed(t, stalenessInTests)
		h := b.hit("SELECT * FROM item")
		b.beforeConnect = func() { b.exec(write) }
		if r, _ := b.verify(h); r != Raced {
			t.Errorf("%v, want raced", r)
		}
		if len(b.purged) != 0 {
			t.Errorf("%v was ended", b.purged)
		}
	})
	// A write whose event was lost, and then one whose event comes: nothing is proven.
	t.Run("behind a lost one", func(t *testing.T) {
		t.Parallel()
		b := newBed(t, stalenessInTests)
		h := b.hit("SELECT * FROM item")
		b.exec(loseEvent)
		looks := 0
		b.beforeLook = func() {
			if looks++; looks == 2 {
				b.exec(write)
			}
		}
		if r, _ := b.verify(h); r != Raced || looks != 2 {
			t.Errorf("%v after %d looks, want raced", r, looks)
		}
	})
	// A different answer each time is no proof of either.
	t.Run("again and again", func(t *testing.T) {
		t.Parallel()
		b := newBed(t, stalenessInTests)
		h := b.hit("SELECT * FROM item")
		b.exec(loseEvent)
		b.beforeLook = func() { b.exec(strings.Replace(loseEvent, "'changed'", "name || '.'", 1)) }
		if r, _ := b.verify(h); r != Incomparable {
			t.Errorf("%v, want incomparable", r)
		}
	})
}

// What Postgres says otherwise without a change proves nothing.
func TestOrderProvesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t, stalenessInTests)
	h := b.hit("SELECT * FROM item ORDER BY id DESC")
	h.SQL = "SELECT * FROM item ORDER BY id"
	if r, _ := b.verify(h); r != Incomparable {
		t.Errorf("%v of another order, want incomparable", r)
	}
	limited := b.hit("SELECT * FROM item LIMIT 1")
	limited.SQL, limited.Determined = "SELECT * FROM item OFFSET 1", false
	if r, _ := b.verify(limited); r != Incomparable {
		t.Errorf("%v of what is not determined, want incomparable", r)
	}
}

// A session is imitated as a whole, or not at all.
func TestSessionsAreImitated(t *testing.T) {
	t.Parallel()
	b := newBed(t, stalenessInTests)
	reader := fmt.Sprintf("reader_%d", b.item)
	b.exec("CREATE ROLE " + reader + "; GRANT SELECT ON item TO " + reader)
	t.Cleanup(func() { _, _ = b.direct.Exec(context.Background(), "DROP OWNED BY "+reader+"; DROP ROLE "+reader) })
	b.exec("SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = 0; SET search_path = public, pg_catalog; SET ROLE " + reader)
	h := b.hit("SELECT current_user, current_setting('TimeZone'), * FROM item")
	b.exec("RESET ROLE; RESET ALL")
	if r, _ := b.verify(h); r != Same {
		t.Errorf("%v", r)
	}
	b.exec("ALTER ROLE " + reader + " RENAME TO gone_" + reader)
	reader = "gone_" + reader
	if r, _ := b.verify(h); r != SkippedRole {
		t.Errorf("%v of a role that is not there, want skipped_role", r)
	}
}

func TestFailuresAreNoFindings(t *testing.T) {
	t.Parallel()
	b := newBed(t, stalenessInTests)
	h := b.hit("SELECT * FROM item")
	h.SQL = "SELECT * FROM item, pg_sleep(10)"
	if r, _ := b.verify(h); r != TimedOut {
		t.Errorf("%v, want timeout", r)
	}
	v := b.verifier()
	v.options.Connect = func(context.Context) (*pgx.Conn, error) { return nil, errors.New("refused") }
	if r := v.verify(t.Context(), h); r != Failed {
		t.Errorf("%v without a connection, want error", r)
	}
	b.exec(loseEvent)
	v = b.verifier()
	v.options.Confirm = func(context.Context, fence.Instant) error { return errors.New("no look") }
	if r := v.verify(t.Context(), b.hitBefore(h)); r != Failed {
		t.Errorf("%v without a look, want error", r)
	}
}

// hitBefore is a hit with the statement of its entry.
func (b *bed) hitBefore(h *Hit) *Hit {
	h.SQL = string(h.Entry.Key)
	return h
}

// Hits are offered by their share, and no more in a second than may be.
func TestHitsAreSampled(t *testing.T) {
	t.Parallel()
	v := New(Options{Rate: Rate{Share: 0.01, PerSecondMax: 1e9}})
	sum := int64(0)
	const n = 2000
	for range n {
		sum += v.Countdown()
	}
	if mean := sum / n; mean < 80 || mean > 120 {
		t.Errorf("one in %d hits, want one in 100", mean)
	}
	v.SetRate(Rate{Share: 1, PerSecondMax: 0.001})
	if v.Countdown() != 1 || !v.Wants() || v.Wants() {
		t.Error("the rate is not kept")
	}
	v.SetRate(Rate{})
	if v.Wants() || v.Countdown() != countdownOff {
		t.Error("off is not off")
	}
	var none *Verifier
	if none.Wants() || none.Countdown() < 1<<40 || len(none.Report().Results) != 0 {
		t.Error("no verifier wants hits")
	}
	for range waitingMax + 1 {
		v.Offer(&Hit{})
	}
	if got := v.Report().Results[SkippedLoad.String()]; got != 1 {
		t.Errorf("%d were skipped, want 1", got)
	}
}
