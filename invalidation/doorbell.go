package invalidation

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const (
	// awakePause is the time between two looks while events keep coming.
	awakePause = 3 * time.Millisecond
	// awakeIdleMax is how long an awake follower looks on without an event.
	awakeIdleMax = 50 * time.Millisecond
	// vigilPause is the least time between two attempts to be the one awake. A
	// writer that tests the lock at that moment makes one fail, too.
	vigilPause = 15 * time.Millisecond
	// announcePause is the least time between two notifications of ours.
	announcePause = 5 * time.Millisecond
	// listenCheck is how long a silent LISTEN connection is believed to live. It is
	// well below idleMax, or the server would end the connection.
	listenCheck = 5 * time.Second
	// queueUsageMax is how full the queue of notifications may be for us to add to
	// it: what others left there and somebody does not read, we must not make fail.
	queueUsageMax = "0.05"
)

// vigil is the doorbell's other half: while one follower of the database is
// awake, which the doorbell's lock tells the writers, they need not ring. It
// belongs to the goroutine that looks.
type vigil struct {
	awake bool
	// direct says that no pooler could keep the lock when the session is gone.
	direct bool
	// last is when the last look with events began, tried when the lock was last
	// tried for.
	last, tried fence.Instant
}

// after decides, after each look, whether to be awake. slept says that it has
// just gone to sleep.
func (v *vigil) after(ctx context.Context, conn *pgx.Conn, events bool, began fence.Instant) (slept bool, err error) {
	if events {
		v.last = began
	}
	switch {
	case events && !v.awake && v.direct && (v.tried == 0 || began.Sub(v.tried) >= vigilPause):
		v.tried = began
		err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", doorbellLock).Scan(&v.awake)
		if err != nil {
			return false, fmt.Errorf("take the doorbell's lock: %w", err)
		}
	case v.awake && began.Sub(v.last) >= awakeIdleMax:
		return true, v.end(ctx, conn)
	}
	return false, nil
}

// end releases the doorbell's lock, if it is held: nobody is awake any more.
func (v *vigil) end(ctx context.Context, conn *pgx.Conn) error {
	if !v.awake {
		return nil
	}
	v.awake = false
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", doorbellLock); err != nil {
		return fmt.Errorf("release the doorbell's lock: %w", err)
	}
	return nil
}

// announceSQL rings unless the queue grows: a full one fails the commits of all
// who notify.
const announceSQL = "SELECT pg_notify('" + doorbellChannel + "', '') WHERE pg_notification_queue_usage() < " + queueUsageMax

// doorbell listens for writers that ring, and rings for the other followers. It
// has a connection of its own. Without it, or with one that hears nothing, looks
// are made at every poll.
type doorbell struct {
	f *Follower
	// announcements holds one element if the others should be told.
	announcements chan struct{}
	announced     atomic.Int64 // when the last one was asked for
}

func newDoorbell(f *Follower) *doorbell {
	return &doorbell{f: f, announcements: make(chan struct{}, 1)}
}

// announce asks for a notification to the other followers. It reports false if
// there was one just now, and the caller has to ask again: that one may have come
// too early for what is to be announced.
func (d *doorbell) announce(now fence.Instant) bool {
	if now.Sub(fence.Instant(d.announced.Load())) < announcePause {
		return false
	}
	d.announced.Store(int64(now))
	select {
	case d.announcements <- struct{}{}:
	default:
	}
	return true
}

// session listens until something fails, or the follower rests: then it returns nil. It
// begins when the follower does not rest.
func (d *doorbell) session(ctx context.Context) error {
	if err := d.f.resting.over(ctx); err != nil {
		return err
	}
	connectCtx, cancel := context.WithTimeout(ctx, connectWaitMax)
	defer cancel()
	conn, err := connect(connectCtx, d.f.config, d.f.beforeConnect)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(connectCtx, "LISTEN "+doorbellChannel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	d.f.stats.deaf.Store(false)
	e := &ear{d: d, conn: conn}
	if e.candidate, err = direct(connectCtx, conn); err != nil {
		return err
	}
	if err := e.elect(connectCtx); err != nil {
		return err
	}
	d.f.stats.works(partDoorbell)
	defer d.f.stats.sleeper.Store(false)
	// Who rang before was not heard.
	d.f.audience.ring()
	for !d.f.resting.now() {
		if err := e.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ear is one LISTEN connection. Of all followers of a database one is the sleeper:
// it holds a lock that tells the writers that a ring would be heard, from when it
// listens until its connection ends. While somebody is awake the doorbell's lock
// makes them spare it, so that nothing is to be done to go to sleep but to release
// that one:
//
//  1. a writer finds the doorbell's lock taken, and does not ring;
//  2. the one awake looks, for the last time, and releases the lock;
//  3. the writer commits: the look that follows every release, or the poll, finds
//     it (TestNobodyIsMissedWhenTheAwakeFallsAsleep).
//
// A sleeper that dies is replaced:
//
//  1. the sleeper's connection ends, and with it the lock;
//  2. writers find neither lock taken, and do not ring;
//  3. every other follower tries for the lock at each poll, and one gets it; what
//     was written in between it finds at the same poll (TestSleeperIsReplaced).
type ear struct {
	d    *doorbell
	conn *pgx.Conn
	// candidate is set while it is not the sleeper and may become it.
	candidate bool
	// spoke is when a statement was sent last, 0 before the first that wait sends.
	spoke fence.Instant
}

// tune stops listening while hints are relied on, and begins again afterwards.
func (e *ear) tune(ctx context.Context) error {
	deaf := e.candidate && e.d.f.hints.relied()
	if deaf == e.d.f.stats.deaf.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementWaitMax)
	defer cancel()
	statement := "LISTEN "
	if deaf {
		statement = "UNLISTEN "
	}
	if _, err := e.conn.Exec(ctx, statement+doorbellChannel); err != nil {
		return fmt.Errorf("begin or end to listen: %w", err)
	}
	e.d.f.stats.deaf.Store(deaf)
	e.spoke = fence.Now()
	if !deaf {
		e.d.f.audience.ring() // who rang meanwhile was not heard
	}
	return nil
}

// elect tries to make this follower the sleeper. A writer that tests the lock at
// that moment makes it fail, too, and it is tried again at the next poll.
func (e *ear) elect(ctx context.Context) error {
	if !e.candidate {
		return nil
	}
	var mine bool
	if err := e.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", sleeperLock).Scan(&mine); err != nil {
		return fmt.Errorf("take the sleeper's lock: %w", err)
	}
	e.candidate = !mine
	e.d.f.stats.sleeper.Store(mine)
	return nil
}

// wait waits for one notification, or for the need to say something.
func (e *ear) wait(ctx context.Context) error {
	if err := e.tune(ctx); err != nil {
		return err
	}
	pause := listenCheck
	if e.candidate {
		pause = min(pause, e.d.f.poll)
	}
	waitCtx, stop := context.WithTimeout(ctx, pause)
	defer stop()
	announce := make(chan bool, 1)
	go func() {
		select {
		case <-e.d.announcements:
			announce <- true
		case <-e.d.f.resting.change():
			announce <- false
		case <-waitCtx.Done():
			announce <- false
		}
		stop()
	}()
	n, err := e.conn.WaitForNotification(waitCtx)
	stop()
	wanted := <-announce
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && n.PID != e.conn.PgConn().PID():
		e.d.f.stats.notifications.Add(1)
		e.d.f.audience.ring()
	case err != nil && e.conn.IsClosed():
		return fmt.Errorf("wait for a notification: %w", err)
	}
	if now := fence.Now(); !e.d.f.stats.deaf.Load() || wanted || now.Sub(e.spoke) >= listenCheck {
		e.spoke = now
	} else {
		return nil // a leader is heard, so one need not be elected
	}
	statementCtx, cancel := context.WithTimeout(ctx, statementWaitMax)
	defer cancel()
	switch {
	case wanted:
		if _, err := e.conn.Exec(statementCtx, announceSQL); err != nil {
			return fmt.Errorf("notify the other followers: %w", err)
		}
	case err == nil, e.d.f.resting.now(): // it heard something, so it lives; or is not needed
	case e.candidate:
		return e.elect(statementCtx)
	default:
		if _, err := e.conn.Exec(statementCtx, "SELECT 1"); err != nil { // is anybody there?
			return fmt.Errorf("ask the LISTEN connection for a sign of life: %w", err)
		}
	}
	return nil
}
