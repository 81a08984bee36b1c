package invalidation

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// followVariable makes the test's program a follower of the database it names.
const followVariable = "FRESHET_TEST_FOLLOW"

// followUntilKilled is a process of its own, so that it can be killed.
func followUntilKilled(dsn string) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		log.Fatal(err)
	}
	f, err := NewFollower(FollowerOptions{ConnConfig: config, Fence: fence.New(fewSlots)})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(f.Run(context.Background()))
}

// startFollowerProcess starts a follower that can be killed.
func (db *database) startFollowerProcess() *exec.Cmd {
	db.t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), followVariable+"="+db.dsn)
	if err := command.Start(); err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	return command
}

// sleepers counts the followers that writers would ring for.
func (db *database) sleepers() string {
	return db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND (classid::int8 << 32) | objid::int8 = $1 AND mode = 'ExclusiveLock'", sleeperLock)
}

// write commits many times on many connections at once.
func (db *database) write(conns []*pgx.Conn, commits int) {
	db.t.Helper()
	var writers sync.WaitGroup
	for _, conn := range conns {
		writers.Go(func() {
			for range commits {
				if _, err := conn.Exec(db.t.Context(), "UPDATE users SET name = 'x' WHERE id = 1"); err != nil {
					db.t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// Every process that follows is killed while 16 writers write. Nobody is left to
// ring for, and nobody rings, however many commits there are.
func TestNobodyRingsForTheDead(t *testing.T) {
	t.Parallel()
	const writersMax, commits = 16, 50
	db := newWatched(t, shop)
	listener := db.listen()
	processes := []*exec.Cmd{db.startFollowerProcess(), db.startFollowerProcess()}
	var conns []*pgx.Conn
	for range writersMax {
		conns = append(conns, db.connect())
	}
	servers.Eventually(t, "a follower sleeps", func() bool { return db.sleepers() == "1" })
	servers.Eventually(t, "it is rung for", func() bool {
		db.write(conns[:1], 1)
		rings, others := listener.received(conns[0].PgConn().PID())
		return rings+others > 0
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		db.write(conns, commits)
	}()
	for _, process := range processes {
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	servers.Eventually(t, "their locks are gone", func() bool {
		return db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'freshet follower' AND datname = current_database()") == "0"
	})
	listener.received(0)
	db.write(conns, commits)
	if rings, others := listener.received(conns[0].PgConn().PID()); rings+others != 0 {
		t.Errorf("%d commits rang %d times with nobody there", writersMax*commits, rings+others)
	}
}

// A follower of another database of the server is nobody's reason to ring.
func TestRingsStayInTheirDatabase(t *testing.T) {
	t.Parallel()
	followed, alone := newDatabase(t, shop), newDatabase(t, shop)
	followed.install("public.*")
	alone.install("public.*")
	followed.follow(nil)
	servers.Eventually(t, "the other database has a sleeper", func() bool { return followed.sleepers() == "1" })
	listener := alone.listen()
	for range 20 {
		alone.run("UPDATE users SET name = 'x' WHERE id = 1")
	}
	if rings, others := listener.received(alone.PgConn().PID()); rings+others != 0 {
		t.Errorf("%d rings for the follower of another database", rings+others)
	}
}

// When the sleeper is gone another follower takes its place, and writers ring
// again.
func TestSleeperIsReplaced(t *testing.T) {
	t.Parallel()
	const poll = 20 * time.Millisecond
	db := newWatched(t, shop)
	quick := func(o *FollowerOptions) { o.Poll = poll }
	first := db.follow(quick)
	servers.Eventually(t, "the first is the sleeper", func() bool { return first.Stats().Sleeper })
	second, third := db.follow(quick), db.follow(quick)
	if second.Stats().Sleeper || third.Stats().Sleeper || db.sleepers() != "1" {
		t.Errorf("%s sleepers, want one", db.sleepers())
	}
	first.stop()
	servers.Eventually(t, "another is the sleeper", func() bool { return second.Stats().Sleeper != third.Stats().Sleeper })
	heir := second
	if third.Stats().Sleeper {
		heir = third
	}
	// Its LISTEN connection ends, and with it the lock; somebody takes it again.
	db.run(fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND (classid::int8 << 32) | objid::int8 = %d AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", sleeperLock))
	servers.Eventually(t, "the lock is taken again", func() bool {
		return heir.Stats().Reconnects > 0 && db.sleepers() == "1" && second.Stats().Sleeper != third.Stats().Sleeper
	})
	heard := second.Stats().Notifications + third.Stats().Notifications
	servers.Eventually(t, "a ring is heard", func() bool {
		db.run("UPDATE users SET name = 'x' WHERE id = 1")
		return second.Stats().Notifications+third.Stats().Notifications > heard
	})
}

// A writer finds a follower awake and does not ring; before it commits, the
// follower has looked for the last time and sleeps. The poll finds the event.
func TestNobodyIsMissedWhenTheAwakeFallsAsleep(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.Poll = 20 * time.Millisecond })
	writer := db.connect()
	// Again, where the writer rang after all: the follower was awake a moment later, or
	// somebody's earlier ring came late.
	servers.Eventually(t, "a writer that found the follower awake", func() bool {
		db.run("UPDATE users SET name = 'x' WHERE id = 2")
		runOn(t, writer, "ROLLBACK", "BEGIN", "UPDATE users SET name = 'x' WHERE id = 1")
		if !f.Stats().Awake {
			return false
		}
		f.asleep()
		before, heard := f.Stats().Events, f.Stats().Notifications
		runOn(t, writer, "COMMIT")
		if !f.arrives(before, waitMax) {
			t.Fatal("the event of a writer that did not ring does not arrive")
		}
		return f.Stats().Notifications == heard
	})
}

// Where transactions can be prepared nobody rings, and where the queue of
// notifications grows neither: commits would fail because of us.
func TestWhoMustNotRingDoesNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		settings map[string]string
		change   func(db *database)
	}{
		{"two-phase commit", map[string]string{"max_prepared_transactions": "5"}, func(*database) {}},
		{"a queue that grows", nil, func(db *database) {
			// As if it were too full.
			db.run(strings.Replace(db.value("SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE tgname = 'zz_freshet_update' AND tgrelid = 'users'::regclass"),
				"usage() < "+queueUsageMax, "usage() < 0", 1))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, db := startServer(t, c.settings)
			listener := db.listen()
			runOn(t, listener.Conn, fmt.Sprintf("SELECT pg_advisory_lock(%d)", sleeperLock))
			writes := func() (rings int) {
				t.Helper()
				for range 10 {
					db.run("UPDATE users SET name = 'x' WHERE id = 1")
				}
				mine, others := listener.received(0)
				return mine + others
			}
			if c.settings == nil && writes() == 0 {
				t.Fatal("nobody rings while the queue is empty: nothing is tested")
			}
			c.change(db)
			if rings := writes(); rings != 0 {
				t.Errorf("%d rings, want none", rings)
			}
		})
	}
}

// poolerConn names another process than the server's, as poolers do.
type poolerConn struct{ net.Conn }

func (c poolerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	keyData := []byte("K\x00\x00\x00\x0c")
	if i := bytes.Index(p[:n], keyData); i >= 0 && i+len(keyData)+4 <= n {
		p[i+len(keyData)+3] ^= 1
	}
	return n, err
}

// The locks of a session behind a pooler could outlive the follower, so none are
// taken there.
func TestLocksAreTakenOnDirectConnectionsOnly(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	if yes, err := direct(t.Context(), db.Conn); err != nil || !yes {
		t.Errorf("a direct connection: %v (%v)", yes, err)
	}
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return poolerConn{conn}, err
	}
	pooled, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pooled.Close(context.Background())
	if yes, err := direct(t.Context(), pooled); err != nil || yes {
		t.Errorf("a connection through a pooler counts as direct: %v (%v)", yes, err)
	}
	for _, candidate := range []bool{false, true} {
		v, e := &vigil{direct: candidate}, &ear{d: newDoorbell(db.step().Follower), conn: db.connect(), candidate: candidate}
		if _, err := v.after(t.Context(), e.conn, true, fence.Now()); err != nil || v.awake != candidate {
			t.Errorf("awake %v, may be %v (%v)", v.awake, candidate, err)
		}
		if err := e.elect(t.Context()); err != nil || e.d.f.Stats().Sleeper != candidate {
			t.Errorf("sleeper %v, may be %v (%v)", e.d.f.Stats().Sleeper, candidate, err)
		}
	}
}

// A process that is frozen says nothing, and the server ends its sessions.
func TestSilentSessionsAreEnded(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connect(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	ended := &database{t, db.dsn, conn}
	for _, setting := range []string{"idle_session_timeout", "idle_in_transaction_session_timeout"} {
		if got := ended.value("SELECT setting FROM pg_settings WHERE name = $1", setting); got != settingText(idleMax) {
			t.Errorf("%s is %s ms", setting, got)
		}
	}
	if err := paced(t.Context(), conn, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := ended.value("SELECT current_setting('idle_session_timeout')"); got != "4h" {
		t.Errorf("a session that is used every hour is ended after %s", got)
	}
}
