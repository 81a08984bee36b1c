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

func (f *followed) asleep() {
	f.t.Helper()
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
	if f.Stats().Notifications == 0 {
		t.Error("no notification was counted")
	}
}

// While a follower is awake writers do not notify, and it tells the others.
func TestAwakeFollowerSparesWriters(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	listener := db.connect()
	runOn(t, listener, "LISTEN freshet")
	awake := db.follow(nil)
	awake.asleep()
	writer := db.connect()
	writerPID := writer.PgConn().PID()
	other := db.follow(func(o *FollowerOptions) { o.Poll = pollLong })
	write := func() { runOn(t, writer, "UPDATE users SET name = 'x' WHERE id = 1") }
	isAwake := func() bool { return awake.Stats().Awake || other.Stats().Awake }
	servers.Eventually(t, "a follower is awake", func() bool { write(); return isAwake() })
	// On a busy machine the writer may pause for so long that everybody sleeps.
	servers.Eventually(t, "writes go on without ringing", func() bool {
		received(t, listener, writerPID)
		writes := 0
		for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); writes++ {
			write()
		}
		rings, announcements := received(t, listener, writerPID)
		t.Logf("%d writes rang %d times, the awake follower %d times", writes, rings, announcements)
		return writes >= 20 && rings <= writes/20 && announcements > 0
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

// received counts the notifications that have come, from one writer and others.
func received(t *testing.T, listener *pgx.Conn, writer uint32) (rings, others int) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		n, err := listener.WaitForNotification(ctx)
		cancel()
		switch {
		case err != nil:
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
