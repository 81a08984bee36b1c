package wire

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// versionAtLength answers with so many bytes that Postgres cannot send them all
// before the client reads: while the client holds back, the load is under way.
const versionAtLength = `SELECT item.version, repeat('x', 1000) FROM item, generate_series(1, 4000) g WHERE item.id = 7`

// versionSibling has the shape of versionAtLength.
var versionSibling = strings.Replace(versionAtLength, "id = 7", "id = 8", 1)

// withLargeEntries lets the answer to versionAtLength be kept.
func withLargeEntries(c *engine.Options, _ *invalidation.FollowerOptions) { c.EntryMax = 6 << 20 }

// heldLoad is a load whose snapshot is taken and whose answer is held back.
type heldLoad struct {
	t    *testing.T
	rows pgx.Rows
}

// holdLoad sends versionAtLength through conn and reads only the first row of the answer.
func holdLoad(t *testing.T, conn *pgx.Conn) *heldLoad {
	t.Helper()
	rows, err := conn.Query(context.Background(), versionAtLength, pgx.QueryExecModeSimpleProtocol)
	if err != nil || !rows.Next() {
		t.Fatalf("begin the load: %v %v", err, rows.Err())
	}
	return &heldLoad{t, rows}
}

// release lets the load go on and returns the version that it answers.
func (h *heldLoad) release() (version int) {
	h.t.Helper()
	for n := 1; ; n++ {
		var padding string
		if err := h.rows.Scan(&version, &padding); err != nil {
			h.t.Fatal(err)
		}
		if !h.rows.Next() {
			if h.rows.Err() != nil || n != 4000 {
				h.t.Fatalf("the load ended after %d rows: %v", n, h.rows.Err())
			}
			return version
		}
	}
}

// readVersion sends versionAtLength through conn, reads the whole answer, and returns the version in
// its last row.
func readVersion(conn *pgx.Conn) (version int, err error) {
	rows, err := conn.Query(context.Background(), versionAtLength, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return 0, err
	}
	var padding string
	_, err = pgx.ForEachRow(rows, []any{&version, &padding}, func() error { return nil })
	return version, err
}

// received waits until the follower has made a look that began after this call: then a sidecar's head
// includes everything committed so far.
func (s *side) received() {
	s.bed.t.Helper()
	if err := s.follower.Confirm(context.Background(), fence.Now()); err != nil {
		s.bed.t.Fatal(err)
	}
}

// A load that a write overtakes is served to nobody who comes after the event. Forces this, in two
// sidecars that share Redis:
//
//  1. a client's read takes its snapshot in Postgres;
//  2. a commit changes the row, and the sidecars receive the event;
//  3. the read ends with the old row, is answered to its client and offered to
//     both tiers;
//  4. whoever asks either of the two sidecars from then on must be shown the new row.
func TestCase39OvertakenLoadIsNotServedBehindTheEvent(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	rd := servers.SharedRedis(t)
	first := bed.sidecar(withRedis(rd.URL()), withLargeEntries)
	second := bed.sidecar(withRedis(rd.URL()), withLargeEntries)

	slow := first.connect()
	first.learn(versionSibling)
	h := holdLoad(t, slow)
	bed.exec("UPDATE item SET version = 1 WHERE id = 7")
	first.received()
	second.received()
	if got := h.release(); got != 0 {
		t.Fatalf("the read that began before the commit answered version %d, want 0", got)
	}
	a, b := first.connect(), second.connect()
	for range 3 {
		for _, conn := range []*pgx.Conn{a, b} {
			if got, err := readVersion(conn); err != nil || got != 1 {
				t.Errorf("version %d (%v) after the event was received, want 1", got, err)
			}
		}
	}
	servers.Eventually(t, "the second sidecar to serve the new answer", func() bool {
		before := second.count(HitL1) + second.count(HitL2)
		got, err := readVersion(b)
		return err == nil && got == 1 && second.count(HitL1)+second.count(HitL2) > before
	})
}

// A client that asks after an event gets no answer of a load from before the event. Forces this:
//
//  1. a client's read takes its snapshot, and others may wait for its load;
//  2. a commit changes the row, and the sidecar receives the event;
//  3. another client asks the same, and waits for that load;
//  4. the load ends with the old row, which must not be the second client's answer.
func TestCase39LateComerDoesNotShareAnOvertakenLoad(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(withLargeEntries)
	slow, late := s.connect(), s.connect()
	s.learn(versionSibling)

	h := holdLoad(t, slow)
	bed.exec("UPDATE item SET version = 1 WHERE id = 7")
	s.received()
	joined := make(chan int, 1)
	go func() {
		version, err := readVersion(late)
		if err != nil {
			t.Errorf("the second read failed: %v", err)
		}
		joined <- version
	}()
	servers.Eventually(t, "the second client to wait for the load", func() bool { return s.waiting() == 1 })
	if got := h.release(); got != 0 {
		t.Errorf("the overtaken read answered version %d, want 0", got)
	}
	if got := <-joined; got != 1 {
		t.Errorf("the client that asked after the event was shown version %d, want 1", got)
	}
}

// waiting counts the sessions that wait for another's load.
func (s *side) waiting() (n int) {
	s.sessions.each(func(c *session) {
		c.cancels.mu.Lock()
		defer c.cancels.mu.Unlock()
		if c.cancels.interrupt != nil {
			n++
		}
	})
	return n
}

// A client to which its commit was acknowledged never reads a state from before the commit, though
// the sidecar may not have received the event yet.
func TestOwnWritesAreSeen(t *testing.T) {
	t.Parallel()
	s := lentSidecar(t)
	writer, other := s.connect(), s.connect()
	read := func(conn *pgx.Conn) (version int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT version FROM item WHERE id = $1", 7).Scan(&version); err != nil {
			t.Fatal(err)
		}
		return version
	}
	served := func() uint64 { return s.count(HitL1) + s.count(HitL2) + s.count(Coalesced) }
	before := served()
	for version := 1; version <= 300; version++ {
		read(other) // keeps the entry warm
		if _, err := writer.Exec(t.Context(), "UPDATE item SET version = $1 WHERE id = 7", version); err != nil {
			t.Fatal(err)
		}
		if got := read(writer); got != version {
			t.Fatalf("wrote version %d and read %d", version, got)
		}
	}
	if served() == before {
		t.Error("no read was served from the cache, want some: otherwise this test shows nothing")
	}
}

// A client that waits for another client's load cancels its read: the read ends with the error that
// Postgres has for that, and the load goes on.
func TestCase38CancelEndsTheWaitForALoad(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar(withLargeEntries)
	slow, late := s.connect(), s.connect()
	s.learn(versionSibling)
	h := holdLoad(t, slow)
	result := make(chan error, 1)
	go func() {
		_, err := late.Exec(context.Background(), versionAtLength, pgx.QueryExecModeSimpleProtocol)
		result <- err
	}()
	servers.Eventually(t, "the second client to wait for the load", func() bool { return s.waiting() == 1 })
	if err := late.PgConn().CancelRequest(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil || fmt.Sprint(err) != "ERROR: canceling statement due to user request (SQLSTATE 57014)" {
		t.Errorf("the cancelled read ended with %v, want 57014, canceling statement due to user request", err)
	}
	if got := h.release(); got != 0 {
		t.Errorf("the load answered version %d, want 0", got)
	}
	if got := late.QueryRow(context.Background(), "SELECT version FROM item WHERE id = 7"); got.Scan(new(int)) != nil {
		t.Error("the next read of the cancelled client fails, want an answer")
	}
}
