package invalidation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/allocations"
	"github.com/freshet/freshet/loadtest/servers"
)

// stepped is a follower whose looks the test makes one by one.
type stepped struct {
	followed
	looker *looker
}

// step prepares a session like a running follower's and makes the first look.
func (db *database) step() *stepped {
	db.t.Helper()
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		db.t.Fatal(err)
	}
	config.User = servers.Follower
	s := &stepped{followed: followed{database: db, fence: fence.New(fewSlots)}}
	if s.Follower, err = NewFollower(FollowerOptions{ConnConfig: config, Fence: s.fence}); err != nil {
		db.t.Fatal(err)
	}
	s.looker = &looker{f: s.Follower}
	conn, err := connect(db.t.Context(), config, nil)
	if err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(func() { closeConn(conn) })
	if err := s.looker.greetOn(db.t.Context(), conn); err != nil {
		db.t.Fatal(err)
	}
	if err := s.looker.audit(db.t.Context()); err != nil {
		db.t.Fatal(err)
	}
	s.look()
	return s
}

func (s *stepped) look() {
	s.t.Helper()
	if _, _, err := s.looker.lookOnce(s.t.Context(), fence.Now()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stepped) wantReset(cause string) {
	s.t.Helper()
	before := s.Stats().Resets[cause]
	s.look()
	if s.Stats().Resets[cause] != before+1 {
		s.t.Errorf("resets %v, want one more for %q", s.Stats().Resets, cause)
	}
	quiet := fmt.Sprint(s.Stats().Resets)
	s.look()
	if after := fmt.Sprint(s.Stats().Resets); after != quiet {
		s.t.Errorf("the look after was a reset too: %s, then %s", quiet, after)
	}
}

func TestTrimmedOutboxResets(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	entry := s.load(db.spell("users/id=1", "users/*")...)
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	for range 2 {
		if _, err := trim(t.Context(), db.Conn, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "0" {
		t.Fatalf("%s rows are left; nothing was tested", n)
	}
	s.wantReset(resetTrimmed)
	s.wantAdmitted(entry, false, "an entry whose event was trimmed away unseen")
}

// Functions of capture that no trigger calls yet, or any more, are made and dropped by installers
// without an event. An audit that finds one has nothing reset.
func TestUnusedFunctionsResetNothing(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	entry := s.load(db.spell("users/id=1", "users/*")...)
	for _, statement := range []string{
		"CREATE FUNCTION freshet.capture_1_unused() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"DROP FUNCTION freshet.capture_1_unused()",
	} {
		db.run("BEGIN", stepSettingsSQL, statement, "COMMIT")
		s.Suspect()
		if _, _, err := s.looker.auditAndLook(t.Context(), fence.Now()); err != nil {
			t.Fatal(err)
		}
		s.wantAdmitted(entry, true, "an entry of before "+statement)
	}
}

func TestTooManyEventsReset(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	entry := s.load(db.spell("users/id=1", "users/*")...)
	untouched := s.load(db.spell("plain")...)
	db.run(fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, %d)", rowsPerLookMax-1), "UPDATE users SET name = 'x' WHERE id = 1")
	s.look()
	s.wantAdmitted(entry, false, "an entry with an event among as many as are read")
	s.wantAdmitted(untouched, true, "an entry without")
	db.run(fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, %d)", rowsPerLookMax+1))
	s.wantReset(resetOverflow)
	s.wantAdmitted(untouched, false, "any entry, after more events than are read")
	db.run(fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT array_agg('x'::text) FROM generate_series(1, %d)", tagsPerLookMax+1))
	s.wantReset(resetOverflow)
}

func TestOverflowAtTheStart(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.step() // begins the incarnation, and with it the mark
	db.run(fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, %d)", rowsPerLookMax+1))
	s := db.step()
	if s.Stats().Resets[resetOverflow] != 1 {
		t.Errorf("resets %v, want an overflow", s.Stats().Resets)
	}
}

func TestSnapshotThatWentBackwardsResets(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	ahead, err := fence.NewSnapshot(s.looker.head.Xmax()+1000, s.looker.head.Xmax()+1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.looker.head = ahead
	s.wantReset(resetBackward)
}

// Rows that came from another server bear ids that mean nothing here.
func TestForeignRows(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	entry := s.load(db.spell("users/id=1", "users/*")...)
	db.run("INSERT INTO freshet.outbox (xid, tags) SELECT '999999999999', ARRAY['" + db.spell("users/id=1")[0] + "']")
	before := s.Stats().Events
	s.look()
	s.wantAdmitted(entry, true, "an entry with a foreign event")
	if s.Stats().Events != before {
		t.Error("a foreign row was taken for an event")
	}
	// A new incarnation gets rid of them.
	db.run("UPDATE freshet.trim SET incarnation = 'of another server'")
	db.step()
	if n := db.value("SELECT count(*) FROM freshet.outbox WHERE xid = '999999999999'"); n != "0" {
		t.Error("the foreign row is read at every look")
	}
}

func TestChangedIncarnationEndsTheSession(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	for _, statement := range []string{"DELETE FROM freshet.incarnation", "UPDATE freshet.incarnation SET token = 'other'", "UPDATE freshet.trim SET incarnation = 'other'", "DELETE FROM freshet.trim"} {
		s := db.step()
		head := s.fence.Head()
		db.run(statement)
		if _, _, err := s.looker.lookOnce(t.Context(), fence.Now()); err == nil || s.fence.Head() != head {
			t.Errorf("%s: error %v, head %v", statement, err, s.fence.Head())
		}
	}
}

// A publication FOR ALL TABLES includes ours: without a replica identity their
// rows could not be deleted.
func TestPublishedOutboxIsTrimmed(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("CREATE PUBLICATION everything FOR ALL TABLES")
	db.step()
	db.run("UPDATE users SET name = 'x' WHERE id = 1", "UPDATE freshet.trim SET incarnation = 'other'")
	s := db.step()
	for range 2 {
		if _, err := trim(t.Context(), db.Conn, 0); err != nil {
			t.Error(err)
		}
	}
	if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "0" {
		t.Errorf("%s rows are left", n)
	}
	s.look()
}

// The look must not read the whole outbox.
func TestLookUsesTheIndex(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	db.run("INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, 5000)")
	s.look()
	rows, err := s.looker.conn.Query(t.Context(), "EXPLAIN EXECUTE "+lookName+"('1000', '{900,901}')")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if strings.Contains(plan, "Seq Scan on outbox") || !strings.Contains(plan, "outbox_pkey") {
		t.Errorf("the plan does not use the index:\n%s", plan)
	}
}

// What a look allocates for an event is what is kept of it: its texts and the string that these
// share, and its tags; for itself, most is the text of its parameters and of its state.
func TestLookAllocatesLittleForAnEvent(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE users (id int PRIMARY KEY)")
	db.install("public.users")
	s := db.step()
	head := s.looker.head
	const events = 100
	look := func(want int) float64 {
		return allocations.Fewest(50, func() {
			saw, err := look(t.Context(), s.looker.conn, head)
			if err != nil || len(saw.events) != want {
				t.Fatalf("%d events, %v, want %d", len(saw.events), err, want)
			}
		})
	}
	without := look(0)
	db.run(fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT ARRAY['1/' || i] FROM generate_series(1, %d) i", events))
	each := (look(events) - without) / events
	if without > 16 || each > 4 {
		t.Errorf("%v allocations for a look and %v for an event, want 16 and 4 at most", without, each)
	}
}
