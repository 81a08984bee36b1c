package invalidation

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// By its age, the row of a transaction that took long would be deleted before
// any follower could read it.
func TestTrimKeepsRowsOfLateCommits(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	s := db.step()
	late := db.connect()
	runOn(t, late, "BEGIN", "UPDATE users SET name = 'late' WHERE id = 1")
	db.run("UPDATE users SET name = 'early' WHERE id = 2")
	s.look()
	trimTwice := func() {
		t.Helper()
		for range 2 {
			if _, err := trim(t.Context(), db.Conn, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	trimTwice()
	runOn(t, late, "COMMIT")
	if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "1" {
		t.Errorf("%s rows are left, want the late one", n)
	}
	entry := s.load(db.spell("users/id=1", "users/*")...)
	s.look() // the mark moved: this one resets
	s.wantAdmitted(entry, false, "an entry that lacks the late write")
	trimTwice()
	if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "0" {
		t.Errorf("%s rows are left after the late one was seen", n)
	}
}

func TestTrimWaitsForTheRetention(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.step()
	// What is older than the incarnation is covered by its mark.
	if _, err := trim(t.Context(), db.Conn, time.Hour); err != nil {
		t.Fatal(err)
	}
	db.run("UPDATE users SET name = 'x' WHERE id = 2")
	mark := db.value("SELECT mark FROM freshet.trim")
	for range 3 {
		if deleted, err := trim(t.Context(), db.Conn, time.Hour); err != nil || deleted != 0 {
			t.Errorf("deleted %d rows (%v)", deleted, err)
		}
	}
	if now := db.value("SELECT mark FROM freshet.trim"); now != mark {
		t.Errorf("the mark moved from %s to %s", mark, now)
	}
}

func TestTrimInBatchesByOneProcess(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.step()
	rows := 2*trimRowsMax + 7
	db.run("DELETE FROM freshet.outbox", fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, %d)", rows))
	other := db.connect()
	runOn(t, other, fmt.Sprintf("SELECT pg_advisory_lock(%d)", trimLock))
	if deleted, err := trim(t.Context(), db.Conn, 0); err != nil || deleted != 0 {
		t.Errorf("trimmed beside another trimmer: %d rows (%v)", deleted, err)
	}
	runOn(t, other, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", trimLock))
	var sum int64
	for range 2 {
		deleted, err := trim(t.Context(), db.Conn, 0)
		if err != nil {
			t.Fatal(err)
		}
		sum += deleted
	}
	if sum != int64(rows) {
		t.Errorf("deleted %d rows of %d", sum, rows)
	}
}

// A follower that keeps up is not reset by trimming. Where the machine let it look too late for
// that, the next one has twice the time.
func TestFollowerTrims(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	for retention := time.Second; ; retention *= 2 {
		f := db.follow(func(o *FollowerOptions) { o.Retention, o.Poll = retention, 20*time.Millisecond })
		// No head was older than oldest when it was replaced: look is called before and after it.
		began, oldest := f.fence.LookBegan(), time.Duration(0)
		look := func() {
			last := f.fence.LookBegan()
			oldest = max(oldest, fence.Now().Sub(began))
			began = last
		}
		db.run("UPDATE users SET name = 'x' WHERE id = 2")
		f.confirmNow()
		servers.Eventually(t, "the outbox is empty", func() bool {
			look()
			return db.value("SELECT count(*) FROM freshet.outbox") == "0"
		})
		resets := f.Stats().Resets[resetTrimmed]
		look()
		f.stop()
		switch {
		case resets == 0:
			return
		case oldest < retention:
			t.Fatalf("a follower whose heads were %v old at most was reset %d times by trimming", oldest, resets)
		}
		t.Logf("a head was up to %v old", oldest)
	}
}

// What is deleted is used again, and deleting takes no longer after a VACUUM that
// found the outbox empty: after any number of rounds the outbox with its
// indexes is as large as after the first ones. VACUUM stands for autovacuum, which
// the table's own settings call often and never let cut the file.
func TestTrimmingDoesNotBloat(t *testing.T) {
	t.Parallel()
	const rounds, rows = 8, 20_000
	// A server of its own: emptied pages of an index are not used again while any
	// transaction, of whatever database, is older than their emptying.
	_, db := startServer(t, nil)
	trimmer := db.step().looker.conn // as the keeper's session
	for _, option := range []string{"autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=5000", "vacuum_truncate=off"} {
		if db.value("SELECT $1 = ANY (reloptions) FROM pg_class WHERE oid = 'freshet.outbox'::regclass", option) != "true" {
			t.Errorf("the outbox lacks %s", option)
		}
	}
	size := func() (bytes int64) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT pg_total_relation_size('freshet.outbox')").Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	var early int64
	for round := range rounds {
		db.run(fmt.Sprintf("INSERT INTO freshet.outbox (tags) SELECT ARRAY['16400', '16400/id=' || g] FROM generate_series(1, %d) g", rows))
		for range 2 {
			if _, err := trim(t.Context(), trimmer, 0); err != nil {
				t.Fatal(err)
			}
		}
		if n := db.value("SELECT count(*) FROM freshet.outbox"); n != "0" {
			t.Fatalf("round %d leaves %s rows", round, n)
		}
		db.run("VACUUM freshet.outbox")
		if round == 2 {
			early = size()
		}
	}
	if late := size(); late > early*5/4 {
		t.Errorf("after %d rounds the outbox has %d bytes, after three it had %d", rounds, late, early)
	}
}
