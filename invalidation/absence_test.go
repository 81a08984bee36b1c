package invalidation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// abandon lets the time pass after which capture gives up.
func (db *database) abandon() {
	db.t.Helper()
	db.run("UPDATE freshet.trim SET attended_at = now() - interval '25 hours'")
}

func (db *database) outboxRows() string { return db.value("SELECT count(*) FROM freshet.outbox") }

func (db *database) wantGivenUp(want bool) {
	db.t.Helper()
	if got := db.value("SELECT is_called FROM freshet.given_up"); got != fmt.Sprint(want) {
		db.t.Errorf("capture has given up: %s, want %v", got, want)
	}
}

// An outbox that nobody reads stops growing after a day, or after an hour if it is
// large, and not before.
func TestCaptureGivesUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		absent   string
		bytesMax int64
		want     bool
	}{{"59 minutes", 0, false}, {"61 minutes", 0, true}, {"23 hours", 1 << 30, false}, {"25 hours", 1 << 30, true}} {
		t.Run(c.absent, func(t *testing.T) {
			t.Parallel()
			db := newWatched(t, shop, salesSchema)
			db.run(fmt.Sprintf("UPDATE freshet.trim SET attended_at = now() - interval '%s', bytes_max = %d", c.absent, c.bytesMax))
			before := db.outboxRows()
			db.run("UPDATE users SET name = 'x' WHERE id = 1", "UPDATE users SET name = 'x' WHERE id = -1")
			db.wantGivenUp(c.want)
			db.run("INSERT INTO sales (amount) VALUES (1)", "DELETE FROM orders", "TRUNCATE plain",
				"DELETE FROM parted", "CREATE TABLE more (id int)", "ALTER TABLE more ADD b int", "DROP TABLE more", "GRANT SELECT ON users TO PUBLIC")
			if after := db.outboxRows(); (after == before) != c.want {
				t.Errorf("the outbox had %s rows and has %s", before, after)
			}
			if last, own := db.value("SELECT lastval()"), db.value("SELECT last_value FROM sales_id_seq"); last != own {
				t.Errorf("lastval() is %s, the application's sequence gave %s", last, own)
			}
		})
	}
}

// While somebody follows it is not even asked for how long nobody did.
func TestCaptureGoesOnWhileSomebodyFollows(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	servers.Eventually(t, "it is the sleeper", func() bool { return f.Stats().Sleeper })
	db.abandon()
	entry := f.reads("users/id=1")
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	db.wantGivenUp(false)
	f.confirmNow()
	f.wantAdmitted(entry, false, "the written row")
	servers.Eventually(t, "the outbox is measured", func() bool { return f.Stats().Outbox.Bytes > 0 })
	if s := f.Stats().Outbox; !s.UnattendedSince.IsZero() {
		t.Errorf("outbox %+v", s)
	}
	// The follower itself says that it is there.
	if _, err := trim(t.Context(), db.Conn, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := db.value("SELECT now() - attended_at < '1 hour' FROM freshet.trim"); got != "true" {
		t.Error("the follower does not say that it is there")
	}
}

// absent is a database that was followed, and then was not for long: kept and gone
// are entries from before.
type absent struct {
	*database
	kept, gone *fence.Ticket
}

func newAbsent(t *testing.T, db *database) *absent {
	t.Helper()
	first := db.follow(nil)
	first.confirmNow()
	a := &absent{db, first.reads("users/id=2"), first.reads("users/id=1")}
	first.leave()
	db.abandon()
	return a
}

// leave ends a follower and waits until the server has ended its sessions: their locks are free,
// and none of them says any more that somebody is there.
func (f *followed) leave() {
	f.t.Helper()
	f.stop()
	servers.Eventually(f.t, "its sessions have ended", func() bool { return f.connections() == "0" })
}

// wantWaiting requires that a follower has come back and serves nothing yet.
func (f *followed) wantWaiting(what string) {
	f.t.Helper()
	servers.Eventually(f.t, "capture goes on", func() bool { return f.value("SELECT is_called FROM freshet.given_up") == "false" })
	for range 20 {
		if err := f.Confirm(f.t.Context(), fence.Now()); err == nil {
			f.t.Fatalf("a look counts although %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The interleaving of freshet.attended:
//
//  1. a transaction finds that capture has given up, and skips its row;
//  2. a follower returns;
//  3. the transaction commits, or was prepared and is committed.
//
// Nothing may be served between 2 and 3 but by Postgres, and after 3 nothing that
// was loaded before.
func TestReturnWaitsForWhoSkipped(t *testing.T) {
	t.Parallel()
	for _, prepared := range []bool{false, true} {
		t.Run(fmt.Sprintf("prepared=%v", prepared), func(t *testing.T) {
			t.Parallel()
			_, db := startServer(t, map[string]string{"max_prepared_transactions": "5"})
			a := newAbsent(t, db)
			writer := db.connect()
			end := "COMMIT"
			runOn(t, writer, "BEGIN", "UPDATE users SET name = 'skipped' WHERE id = 1")
			if prepared {
				end = "COMMIT PREPARED 'open'"
				runOn(t, writer, "PREPARE TRANSACTION 'open'")
			}
			db.wantGivenUp(true)
			f := db.followWithoutWaiting(nil)
			f.wantWaiting("a transaction that skipped its row is open")
			f.wantAdmitted(a.gone, false, "an entry from before, while the transaction is open")
			runOn(t, writer, end)
			f.confirmNow()
			f.wantAdmitted(a.gone, false, "the row whose change was not recorded")
			f.wantAdmitted(a.kept, false, "another row, of which nobody knows")
			entry := f.reads("users/id=1")
			db.run("UPDATE users SET name = 'recorded' WHERE id = 1")
			f.confirmNow()
			f.wantAdmitted(entry, false, "a row written after the return")
			if s := f.Stats(); s.Outbox.UnattendedSince.IsZero() || time.Since(s.Outbox.UnattendedSince) < 24*time.Hour {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// What a transaction finds is not what its snapshot shows:
//
//  1. a transaction takes its snapshot, under REPEATABLE READ, and no id;
//  2. capture gives up, and a follower returns and serves;
//  3. the transaction writes.
//
// If it went by its snapshot it would skip, and nobody would know of it.
func TestOldSnapshotIsNoReasonToSkip(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	newAbsent(t, db)
	db.run("UPDATE users SET name = 'x' WHERE id = 2")
	old := db.connect()
	runOn(t, old, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM users")
	f := db.follow(nil)
	entry := f.reads("users/id=1")
	db.wantGivenUp(false)
	// Even where no lock tells it that somebody is there it counts only if it says so.
	f.leave()
	s := db.step()
	s.wantAdmitted(entry, true, "an entry, before the transaction writes")
	before := db.outboxRows()
	runOn(t, old, "UPDATE users SET name = 'old' WHERE id = 1", "COMMIT")
	_, _, err := s.looker.lookOnce(t.Context(), fence.Now())
	switch recorded := db.outboxRows() != before; {
	case err == nil && s.fence.Admits(entry):
		t.Error("an entry is served that lacks the change of a transaction with an old snapshot")
	case !recorded && !errors.Is(err, errSkipped):
		t.Errorf("the change was not recorded, and a look says %v, want %v", err, errSkipped)
	case recorded && err != nil:
		t.Errorf("the change was recorded, and a look says %v", err)
	}
}

// Who found long ago that nobody was there can act on it late:
//
//  1. a writer finds that capture has to give up, and is delayed;
//  2. a follower returns, has changes recorded, and takes an id;
//  3. the writer lets capture give up, and another writer skips its row;
//  4. another follower ends that: the mark of the first must not be written by what
//     the first knows.
func TestGivingUpLate(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	newAbsent(t, db)
	late, skips := db.connect(), db.connect()
	runOn(t, late, "BEGIN", "UPDATE users SET name = 'late' WHERE id = 2")
	db.wantGivenUp(true)
	first, second := &looker{f: db.stranger()}, &looker{f: db.stranger()}
	covered := func(l *looker) bool {
		t.Helper()
		done, err := l.coverSkipped(t.Context(), db.Conn, db.lastReturn())
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if err := first.endGivingUp(t.Context(), db.Conn, time.Now()); err != nil {
		t.Fatal(err)
	}
	if covered(first) {
		t.Fatal("the mark was moved over a transaction that skipped")
	}
	name := db.lastReturn()
	runOn(t, late, "SELECT setval('freshet.given_up', last_value, true) FROM freshet.given_up")
	runOn(t, skips, "BEGIN", "UPDATE users SET name = 'skipped' WHERE id = 1")
	runOn(t, late, "COMMIT")
	if covered(first) {
		t.Error("the mark was moved while capture had given up")
	}
	if err := second.endGivingUp(t.Context(), db.Conn, time.Now()); err != nil {
		t.Fatal(err)
	}
	if db.lastReturn() == name {
		t.Fatal("two returns have one name")
	}
	if done, err := first.coverSkipped(t.Context(), db.Conn, name); err != nil || done {
		t.Errorf("the mark was moved for a return that is over (%v)", err)
	}
	if covered(second) || covered(first) {
		t.Error("the mark was moved over a transaction that skipped late")
	}
	runOn(t, skips, "COMMIT")
	if !covered(second) {
		t.Error("the mark was not moved although everybody has ended")
	}
}

// lastReturn names the last return.
func (db *database) lastReturn() (name int64) {
	db.t.Helper()
	if err := db.QueryRow(db.t.Context(), "SELECT last_value FROM freshet.given_up").Scan(&name); err != nil {
		db.t.Fatal(err)
	}
	return name
}

// stranger is a follower that does nothing by itself.
func (db *database) stranger() *Follower {
	db.t.Helper()
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		db.t.Fatal(err)
	}
	f, err := NewFollower(FollowerOptions{ConnConfig: config, Fence: fence.New(fewSlots)})
	if err != nil {
		db.t.Fatal(err)
	}
	return f
}

// A follower that was suspended, and not the one that returned, must learn of it
// too: at each step of the return its looks do not count, and after it nothing that
// it knew does.
func TestOthersLearnOfTheReturn(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	suspended := db.step()
	entry := suspended.reads("users/id=1")
	wantNoLook := func(when string) {
		t.Helper()
		if _, _, err := suspended.looker.lookOnce(t.Context(), fence.Now()); !errors.Is(err, errSkipped) {
			t.Errorf("%s a look says %v, want %v", when, err, errSkipped)
		}
	}
	db.abandon()
	db.run("UPDATE users SET name = 'skipped' WHERE id = 1")
	wantNoLook("while capture has given up")
	// A look whose snapshot is older than the mark reads the names after it was written.
	old := db.connect()
	runOn(t, old, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
	returns := &looker{f: db.stranger()}
	if err := returns.endGivingUp(t.Context(), db.Conn, time.Now()); err != nil {
		t.Fatal(err)
	}
	wantNoLook("before the mark is moved")
	if resumed, err := returns.resume(t.Context(), db.Conn); err != nil || !resumed {
		t.Fatalf("resumed: %v (%v)", resumed, err)
	}
	if _, err := look(t.Context(), old, suspended.looker.head); !errors.Is(err, errSkipped) {
		t.Errorf("a look whose snapshot is older than the mark says %v, want %v", err, errSkipped)
	}
	suspended.wantReset(resetTrimmed)
	suspended.wantAdmitted(entry, false, "an entry that lacks the change that was not recorded")
}

// Followers come back again and again while writers write, some of them in long
// transactions, and capture has given up. Whatever was acknowledged is in every
// entry that is admitted afterwards.
func TestReturnsUnderWriters(t *testing.T) {
	t.Parallel()
	const rounds, writersMax = 2, 6
	db := newDatabase(t, shop, fmt.Sprintf("INSERT INTO users SELECT g FROM generate_series(100, %d) g", 100+writersMax))
	db.install("public.*")
	var conns []*pgx.Conn
	for range writersMax {
		conns = append(conns, db.connect())
	}
	for round := range rounds {
		// Again, where the follower was there before any of the writers.
		servers.Eventually(t, fmt.Sprintf("capture gives up in round %d", round), func() bool { return db.returnsUnder(conns, round) })
	}
}

// returnsUnder has a follower come back while sessions write, and reports whether capture had
// given up then.
func (db *database) returnsUnder(conns []*pgx.Conn, round int) bool {
	t := db.t
	t.Helper()
	const writes = 8
	before := db.follow(nil)
	entries := make([]*fence.Ticket, len(conns))
	for w := range entries {
		entries[w] = before.reads(fmt.Sprintf("users/id=%d", 100+w))
	}
	before.leave()
	db.abandon()
	name := db.lastReturn()
	f := db.stranger()
	r := &followed{database: db, Follower: f, fence: f.fence}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var following, writers sync.WaitGroup
	for w, conn := range conns {
		random := rand.New(rand.NewPCG(uint64(round), uint64(w)))
		tags := db.spell(fmt.Sprintf("users/id=%d", 100+w), "users/*")
		writers.Go(func() { writeAndCheck(r, conn, 100+w, writes, random, tags, entries[w]) })
	}
	time.Sleep(time.Duration(round) * 5 * time.Millisecond)
	following.Go(func() { _ = f.Run(ctx) }) // it returns nil
	writers.Wait()
	servers.Eventually(t, "the follower has returned", func() bool { return f.Confirm(t.Context(), fence.Now()) == nil })
	for w, entry := range entries {
		if r.fence.Admits(entry) {
			t.Errorf("round %d: writer %d wrote, and an entry from before is admitted", round, w)
		}
	}
	cancel()
	following.Wait()
	return db.lastReturn() != name
}

// writeAndCheck writes one row again and again, in transactions that are sometimes
// long, and requires after each that no entry from before it is admitted.
func writeAndCheck(f *followed, conn *pgx.Conn, id, writes int, random *rand.Rand, tags []string, entry *fence.Ticket) {
	for range writes {
		text := fmt.Sprintf("UPDATE users SET name = name || 'x' WHERE id = %d", id)
		statements := []string{"BEGIN", text, fmt.Sprintf("SELECT pg_sleep(%f)", random.Float64()/20), "COMMIT"}
		if random.IntN(3) == 0 {
			statements = []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM users", statements[2], text, "COMMIT"}
		}
		if f.fence.Head() != nil {
			entry = f.load(tags...)
		}
		for _, s := range statements {
			if _, err := conn.Exec(f.t.Context(), s); err != nil {
				f.t.Errorf("%s: %v", s, err)
				return
			}
		}
		if f.Confirm(f.t.Context(), fence.Now()) == nil && f.fence.Admits(entry) {
			f.t.Errorf("row %d: an entry is admitted that lacks an acknowledged change", id)
		}
	}
}

// An installation from before capture could give up is converted while transactions
// are open, and nobody waits for them: nobody can have skipped.
func TestOlderInstallationLearnsToGiveUp(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("DROP EVENT TRIGGER freshet_drop", "DROP EVENT TRIGGER freshet_ddl_end", "DROP EVENT TRIGGER freshet_ddl_start",
		`DO $$ DECLARE f text; BEGIN
			FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'freshet'::regnamespace AND (proname = 'attended' OR prosrc LIKE '%attended%') LOOP
				EXECUTE 'DROP FUNCTION ' || f || ' CASCADE';
			END LOOP;
		END $$`, "DROP SEQUENCE freshet.given_up",
		"ALTER TABLE freshet.trim DROP COLUMN marked_at, DROP COLUMN attended_at, DROP COLUMN patience, DROP COLUMN bytes_max, DROP COLUMN returned")
	open := db.connect()
	runOn(t, open, "CREATE TEMP TABLE x (a int)", "BEGIN", "INSERT INTO x VALUES (1)")
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Fatalf("problems after installing again: %v", problems)
	}
	f := db.follow(nil)
	f.confirmNow()
	entry := f.reads("users/id=1")
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(entry, false, "the written row")
	runOn(t, open, "COMMIT")
}

// Without the sequence or the function, writes and DDL go on, nothing is served, and
// installing again makes them. Whether somebody skipped is not known then, so nothing
// from before is trusted.
func TestGivenUpIsRepaired(t *testing.T) {
	t.Parallel()
	for _, drop := range []string{"DROP SEQUENCE freshet.given_up", "DROP SEQUENCE freshet.given_up; UPDATE freshet.trim SET attended_at = now()"} {
		t.Run(drop, func(t *testing.T) {
			t.Parallel()
			db := newWatched(t, shop)
			a := newAbsent(t, db)
			db.run("UPDATE users SET name = 'skipped' WHERE id = 1", drop,
				"UPDATE users SET name = 'x' WHERE id = 2", "CREATE TABLE more (id int)")
			f := db.followWithoutWaiting(func(o *FollowerOptions) { o.Watch, o.ConnConfig.User = []string{"public.*"}, superuser })
			servers.Eventually(t, "the follower has returned", func() bool { return f.Confirm(t.Context(), fence.Now()) == nil })
			f.confirmNow()
			f.wantAdmitted(a.gone, false, "the row whose change was not recorded")
			f.wantAdmitted(a.kept, false, "another row, of which nobody knows")
			if problems := db.state().Problems(); len(problems) > 0 {
				t.Errorf("problems %v", problems)
			}
		})
	}
}
