package invalidation

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// pollLong is much longer than waitMax, which is much longer than a ring takes.
const pollLong = 10 * time.Minute

// arrives waits until an event is received without anybody asking for a look.
func (f *followed) arrives(before uint64, within time.Duration) bool {
	for deadline := time.Now().Add(within); f.Stats().Events == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// asleep waits until a follower sleeps that has received all that was committed before: only the
// second look begins when it is known whether what the first brought keeps it awake.
func (f *followed) asleep() {
	f.t.Helper()
	f.confirmNow()
	f.confirmNow()
	servers.Eventually(f.t, "the follower sleeps", func() bool { return !f.Stats().Awake })
}

func TestWriterRingsASleepingFollower(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.Poll = pollLong })
	servers.Eventually(t, "the follower listens", func() bool { return f.Stats().Sleeper })
	f.asleep()
	before := f.Stats().Events
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	if !f.arrives(before, waitMax) {
		t.Error("the ring was not heard")
	}
	// A look that was under way when the follower fell asleep may have brought the event.
	servers.Eventually(t, "a notification is counted", func() bool { return f.Stats().Notifications > 0 })
}

// While a follower is awake writers do not notify, and it tells the others.
func TestAwakeFollowerSparesWriters(t *testing.T) {
	t.Parallel()
	// It writes for a time, as fast as the server can: between writes that wait for a busy client
	// everybody may fall asleep.
	db := newWatched(t, shop, `CREATE PROCEDURE keep_writing(INOUT writes int) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	WHILE clock_timestamp() < began + interval '300 ms' OR writes < 20 LOOP
		UPDATE users SET name = 'x' WHERE id = 1;
		COMMIT;
		writes := writes + 1;
	END LOOP;
END $$`)
	listener := db.listen()
	awake := db.follow(nil)
	awake.asleep()
	writer := db.connect()
	writerPID := writer.PgConn().PID()
	other := db.follow(func(o *FollowerOptions) { o.Poll = pollLong })
	write := func() { runOn(t, writer, "UPDATE users SET name = 'x' WHERE id = 1") }
	isAwake := func() bool { return awake.Stats().Awake || other.Stats().Awake }
	servers.Eventually(t, "a follower is awake", func() bool { write(); return isAwake() })
	// On a busy machine the server may write so slowly that everybody sleeps.
	servers.Eventually(t, "writes go on without ringing", func() bool {
		listener.received(writerPID)
		var writes int
		if err := writer.QueryRow(t.Context(), "CALL keep_writing(0)").Scan(&writes); err != nil {
			t.Fatal(err)
		}
		rings, announcements := listener.received(writerPID)
		t.Logf("%d writes rang %d times, the awake follower %d times", writes, rings, announcements)
		return rings <= writes/20 && announcements > 0
	})
	other.asleep()
	awake.asleep()
}

// A write that follows another so closely that its announcement would come too
// soon after the last one is announced later, not never:
//
//  1. a follower is awake, so writers do not ring;
//  2. it receives an event and tells the others;
//  3. it receives another within announcePause, and must not tell them yet;
//  4. no event follows that would make it tell them.
func TestLastOfABurstIsAnnounced(t *testing.T) {
	t.Parallel()
	const bursts, writes = 30, 3
	db := newWatched(t, shop)
	patient := func(o *FollowerOptions) { o.Poll = pollLong }
	followers := []*followed{db.follow(patient), db.follow(patient)}
	before := make([]uint64, len(followers))
	for i, f := range followers {
		f.asleep()
		before[i] = f.Stats().Events
	}
	for burst := 1; burst <= bursts; burst++ {
		for range writes {
			db.run("UPDATE users SET name = 'x' WHERE id = 1")
		}
		for i, f := range followers {
			servers.Eventually(t, fmt.Sprintf("follower %d receives all of burst %d", i, burst), func() bool {
				return f.Stats().Events-before[i] == uint64(burst*writes)
			})
		}
	}
}

// listening is a session that hears what is notified in a database.
type listening struct {
	db *database
	*pgx.Conn
}

// heardChannel is where a test says how far a session is to listen.
const heardChannel = "heard"

func (db *database) listen() *listening {
	db.t.Helper()
	l := &listening{db, db.connect()}
	runOn(db.t, l.Conn, "LISTEN freshet", "LISTEN "+heardChannel)
	return l
}

// received counts the notifications of one writer and of others since it was called last, those
// of all transactions that have committed by now: they are heard in the order of their commits.
func (l *listening) received(writer uint32) (rings, others int) {
	l.db.t.Helper()
	l.db.run("NOTIFY " + heardChannel)
	ctx, cancel := context.WithTimeout(l.db.t.Context(), waitMax)
	defer cancel()
	for {
		n, err := l.WaitForNotification(ctx)
		switch {
		case err != nil:
			l.db.t.Fatalf("hear what was notified: %v", err)
		case n.Channel == heardChannel:
			return rings, others
		case n.PID == writer:
			rings++
		default:
			others++
		}
	}
}

// A writer that finds the lock taken does not ring; whoever holds it may be
// anybody, so the poll is what bounds the wait.
func TestCase41DeafFollowerPolls(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	holder := db.connect()
	runOn(t, holder, fmt.Sprintf("SELECT pg_advisory_lock(%d)", doorbellLock))
	const poll = 20 * time.Millisecond
	f := db.follow(func(o *FollowerOptions) { o.Poll = poll })
	for range 5 {
		before := f.Stats().Events
		db.run("UPDATE users SET name = 'x' WHERE id = 1")
		if !f.arrives(before, waitMax) {
			t.Fatal("without rings, events do not arrive")
		}
	}
	if n := f.Stats().Notifications; n != 0 {
		t.Errorf("%d notifications although nobody may ring", n)
	}
	if f.Stats().Awake {
		t.Error("a follower without the lock believes to be awake")
	}
	if !f.fence.Fresh(fence.Now(), waitMax) {
		t.Error("the fence is not fresh")
	}
}

// The tests of the locks must not leave them taken: a long transaction would keep
// the follower from being awake, or make everybody ring.
func TestRingingKeepsNoLock(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	writer := db.connect()
	runOn(t, writer, "BEGIN", "UPDATE users SET name = 'x' WHERE id = 1")
	for _, lock := range []int64{doorbellLock, sleeperLock} {
		if got := db.value("SELECT pg_try_advisory_lock($1)", lock); got != "true" {
			t.Errorf("the open transaction of a writer holds lock %d", lock)
		}
	}
	runOn(t, writer, "COMMIT")
}

// A listener that is idle in a transaction keeps the queue of notifications from
// being emptied, until it is full and commits fail: the follower's own never is.
func TestCase42ListenerIsNeverInATransaction(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.Poll = time.Millisecond })
	const inTransaction = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
		AND application_name = 'freshet follower' AND state LIKE 'idle in transaction%'`
	writer := db.connect()
	for range 100 {
		runOn(t, writer, "UPDATE users SET name = 'x' WHERE id = 1")
		if n := db.value(inTransaction); n != "0" {
			t.Fatalf("%s of the follower's sessions are idle in a transaction", n)
		}
	}
	f.confirmNow()
	servers.Eventually(t, "the queue is as good as empty", func() bool { return db.value("SELECT pg_notification_queue_usage() < 0.01") == "true" })
}
