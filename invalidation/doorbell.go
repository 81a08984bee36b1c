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
	// listenCheck is how long a silent LISTEN connection is believed to live.
	listenCheck = 30 * time.Second
)

// vigil is the doorbell's other half: while one follower of the database is
// awake, which the doorbell's lock tells the writers, they need not ring. It
// belongs to the goroutine that looks.
type vigil struct {
	awake bool
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
	case events && !v.awake && (v.tried == 0 || began.Sub(v.tried) >= vigilPause):
		v.tried = began
		err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", doorbellLock).Scan(&v.awake)
		if err != nil {
			return false, fmt.Errorf("take the doorbell's lock: %w", err)
		}
	case v.awake && began.Sub(v.last) >= awakeIdleMax:
		v.awake = false
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", doorbellLock); err != nil {
			return false, fmt.Errorf("release the doorbell's lock: %w", err)
		}
		return true, nil
	}
	return false, nil
}

// announceSQL rings unless the queue grows: a full one fails the commits of all
// who notify.
const announceSQL = "SELECT pg_notify('" + doorbellChannel + "', '') WHERE pg_notification_queue_usage() < 0.25"

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

// session listens until something fails.
func (d *doorbell) session(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, connectWaitMax)
	defer cancel()
	conn, err := connect(connectCtx, d.f.config)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(connectCtx, "LISTEN "+doorbellChannel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// Who rang before was not heard.
	d.f.Wake()
	for {
		if err := d.wait(ctx, conn); err != nil {
			return err
		}
	}
}

// wait waits for one notification, or for the need to send one.
func (d *doorbell) wait(ctx context.Context, conn *pgx.Conn) error {
	waitCtx, stop := context.WithTimeout(ctx, listenCheck)
	defer stop()
	announce := make(chan bool, 1)
	go func() {
		select {
		case <-d.announcements:
			announce <- true
		case <-waitCtx.Done():
			announce <- false
		}
		stop()
	}()
	n, err := conn.WaitForNotification(waitCtx)
	stop()
	wanted := <-announce
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && n.PID != conn.PgConn().PID():
		d.f.stats.notifications.Add(1)
		d.f.Wake()
	case err != nil && conn.IsClosed():
		return fmt.Errorf("wait for a notification: %w", err)
	}
	statement := announceSQL
	if !wanted {
		if err == nil {
			return nil
		}
		statement = "SELECT 1" // is anybody there?
	}
	statementCtx, cancel := context.WithTimeout(ctx, statementWaitMax)
	defer cancel()
	if _, err := conn.Exec(statementCtx, statement); err != nil {
		return fmt.Errorf("notify the other followers: %w", err)
	}
	return nil
}
