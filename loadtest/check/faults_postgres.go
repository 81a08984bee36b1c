package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// idsBurnt is how many transaction ids are used up and rolled back before a
// crash: their ends are not in the log, so they are given out again.
const idsBurnt = 400

// burnSQL uses up one transaction id.
const burnSQL = "BEGIN; SELECT pg_current_xact_id(); ROLLBACK; "

// number asks a server for one number.
func number(ctx context.Context, dsn, sql string) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, truthWaitMax)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql).Scan(&n); err != nil {
		return 0, fmt.Errorf("ask PostgreSQL: %w", err)
	}
	return n, nil
}

const (
	nextIDSQL    = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8"
	logWriterSQL = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
)

// awaitPrimary waits until a server answers and is nobody's standby.
func awaitPrimary(ctx context.Context, dsn string) error {
	return until(ctx, "PostgreSQL to be back", func() bool {
		standby, err := number(ctx, dsn, "SELECT pg_is_in_recovery()::int")
		return err == nil && standby == 0
	})
}

// stopLogWriter keeps the server from writing its log in the background, so that
// what nobody waits for is lost in a crash. The returned function lets it go on,
// to its end after a crash.
func (w *world) stopLogWriter(ctx context.Context) (release func(), err error) {
	pid, err := number(ctx, w.fleet.dsn(), logWriterSQL)
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(int(pid), syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("stop the log writer: %w", err)
	}
	return func() { _ = syscall.Kill(int(pid), syscall.SIGCONT) }, nil
}

// crashDelay is the time in which the server tells its processes to end after
// the first one has heard of it.
const crashDelay = 30 * time.Millisecond

// awaitCrash waits until the server ends the process of a connection, as it does
// with all when one was killed: on a busy machine it may go on for a while before
// it notices.
func awaitCrash(ctx context.Context, witness *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, truthWaitMax)
	defer cancel()
	for {
		_, err := witness.Exec(ctx, "SELECT pg_sleep(1)")
		if ctx.Err() != nil {
			return fmt.Errorf("wait for PostgreSQL to notice a killed process: %w", ctx.Err())
		}
		if err != nil {
			return nil
		}
	}
}

// crashBackend kills a process of the server, which ends all others, recovers
// and goes on. Many transaction ids are used up first, on the connection that will
// be killed, and then settle has its time. It returns how many are given out twice.
func (w *world) crashBackend(ctx context.Context, settle func()) (reused int64, err error) {
	dsn := w.fleet.dsn()
	// Who comes to the end of a segment of the log has it written.
	if err := execute(ctx, dsn, "SELECT pg_switch_wal()"); err != nil {
		return 0, err
	}
	release, err := w.stopLogWriter(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, strings.Repeat(burnSQL, idsBurnt)); err != nil {
		return 0, fmt.Errorf("prepare a crash: %w", err)
	}
	witness, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer witness.Close(ctx)
	settle()
	next, err := number(ctx, dsn, nextIDSQL)
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(int(conn.PgConn().PID()), syscall.SIGKILL); err != nil {
		return 0, fmt.Errorf("kill a backend: %w", err)
	}
	if err := awaitCrash(context.WithoutCancel(ctx), witness); err != nil {
		return 0, err
	}
	pause(context.WithoutCancel(ctx), crashDelay)
	release()
	if err := awaitPrimary(context.WithoutCancel(ctx), dsn); err != nil {
		return 0, err
	}
	again, err := number(ctx, dsn, nextIDSQL)
	if err != nil {
		return 0, err
	}
	reused = max(0, next-again)
	w.tally.note(noteReused, reused)
	return reused, nil
}

// holdFollowers keeps the sidecars' followers from connecting to the server.
func (w *world) holdFollowers(hold bool) {
	c := class(0)
	if hold {
		c = followerClass
	}
	for _, l := range w.fleet.links {
		l.hold(c)
	}
}

// reuse lets writers use the ids that come again, and then uses up more than
// were lost, so that nothing but the ids' meaning tells that they were reused.
func (w *world) reuse(ctx context.Context) error {
	pause(ctx, 300*time.Millisecond)
	err := execute(ctx, w.fleet.dsn(), strings.Repeat(burnSQL, 2*idsBurnt))
	w.holdFollowers(false)
	return err
}

// awaitLooks gives sidecars time to look, which they do several times within the
// bound.
func (w *world) awaitLooks(ctx context.Context) { pause(ctx, w.options.Bound/2) }

// killBackend makes the server crash and recover by itself, in a moment without
// a commit, after many transaction ids were used and looked at whose use is not
// in the log. No acknowledged commit is lost; ids are given out twice.
func killBackend(ctx context.Context, w *world, _ *rand.Rand) error {
	w.hold.Lock()
	w.holdFollowers(true)
	defer w.holdFollowers(false)
	_, err := w.crashBackend(ctx, func() { w.awaitLooks(ctx) })
	w.hold.Unlock()
	if err != nil {
		return err
	}
	return w.reuse(ctx)
}

// loseCommits makes the server crash after commits were acknowledged that it had
// not written, as synchronous_commit = off allows.
func loseCommits(ctx context.Context, w *world, random *rand.Rand) error {
	dsn := w.fleet.dsn()
	// As superuser's default, so that it begins and ends with a reload.
	if err := execute(ctx, dsn, "ALTER SYSTEM SET synchronous_commit = off"); err != nil {
		return err
	}
	if err := execute(ctx, dsn, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	pause(ctx, between(random, 300*time.Millisecond, 600*time.Millisecond))
	w.holdFollowers(true)
	defer w.holdFollowers(false)
	err := w.loseIn(ctx, func() error {
		if _, err := w.crashBackend(ctx, func() { w.awaitLooks(ctx) }); err != nil {
			return err
		}
		if err := execute(ctx, dsn, "ALTER SYSTEM RESET synchronous_commit"); err != nil {
			return err
		}
		return execute(ctx, dsn, "SELECT pg_reload_conf()")
	})
	if err != nil {
		return err
	}
	return w.reuse(ctx)
}

// loseIn ends the epoch, lets a blow fall, and begins the next epoch.
func (w *world) loseIn(ctx context.Context, blow func() error) error {
	before := w.epoch.Load()
	w.endEpoch()
	if err := blow(); err != nil {
		return err
	}
	if err := w.beginEpoch(ctx); err != nil {
		return err
	}
	w.tally.note(noteLost, before.lostIn(w.epoch.Load()))
	return nil
}

// lostIn counts the versions that were acknowledged in one epoch and are not in
// the next.
func (e *epoch) lostIn(next *epoch) (count int64) {
	for k := range e.keys() {
		count += max(0, e.register(k).acknowledged()-next.register(k).acknowledged())
	}
	return count
}

// killPostgres kills the server with all its processes and starts it again.
func killPostgres(ctx context.Context, w *world, random *rand.Rand) error {
	w.fleet.postgres().Kill()
	pause(ctx, between(random, 0, 500*time.Millisecond))
	return w.fleet.postgres().Start()
}

// restartPostgres stops the server as operators do, and starts it again.
func restartPostgres(ctx context.Context, w *world, random *rand.Rand) error {
	if err := w.fleet.postgres().Stop(servers.Fast); err != nil {
		return err
	}
	pause(ctx, between(random, 0, 200*time.Millisecond))
	return w.fleet.postgres().Start()
}

// trimAttempts bounds how often it is tried to have the outbox trimmed: the
// sidecar that is frozen may just hold the lock that trimming takes.
const trimAttempts = 5

// trimOutbox makes one sidecar's follower miss what is then deleted from the
// outbox: hours pass by the database's clock while it hears nothing.
func trimOutbox(ctx context.Context, w *world, random *rand.Rand) error {
	for range trimAttempts {
		trimmed, err := w.trimBehind(ctx, random.IntN(len(w.fleet.sidecars)))
		if trimmed || err != nil {
			return err
		}
		pause(ctx, faultTail)
	}
	return errors.New("the outbox is not trimmed")
}

// trimBehind has the outbox trimmed behind a sidecar, and reports whether it was.
func (w *world) trimBehind(ctx context.Context, deaf int) (trimmed bool, err error) {
	n := len(w.fleet.sidecars)
	l := w.fleet.links[deaf]
	l.freeze(followerClass, bothWays, 1, nil)
	defer l.thaw()
	pause(ctx, 200*time.Millisecond) // for writes that it misses
	// The first time makes what the mark may become, the second makes it the mark.
	for i := range 2 {
		if err := execute(ctx, w.fleet.dsn(), "UPDATE freshet.trim SET candidate_at = candidate_at - interval '3 hours'"); err != nil {
			return false, err
		}
		// A sidecar that starts trims at once.
		s := w.fleet.sidecars[(deaf+1+i%max(1, n-1))%n]
		s.kill()
		if err := s.start(); err != nil {
			return false, err
		}
		if !w.trimmed(ctx) {
			return false, nil
		}
	}
	return true, nil
}

const (
	// trimmedSQL is 1 once the trim mark has moved after hours passed, and what it sees is gone:
	// that is deleted behind it, and until then a sidecar still finds it.
	trimmedSQL = "SELECT (now() - t.candidate_at < interval '1 hour' AND NOT EXISTS (SELECT FROM freshet.outbox o WHERE pg_visible_in_snapshot(o.xid, t.mark)))::int FROM freshet.trim t"
	// trimWaitMax bounds the wait for it.
	trimWaitMax = 2 * time.Second
)

// trimmed waits a while for the trim mark to move.
func (w *world) trimmed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, trimWaitMax)
	defer cancel()
	return until(ctx, "the outbox to be trimmed", func() bool {
		moved, err := number(ctx, w.fleet.dsn(), trimmedSQL)
		return err == nil && moved == 1
	}) == nil
}

// changeSchema changes what readers read: columns come, go and change their types,
// rights are given.
func changeSchema(ctx context.Context, w *world, random *rand.Rand) error {
	changes := append([]string{
		"ALTER TABLE registers ADD COLUMN extra int DEFAULT 7",
		"CREATE INDEX registers_version ON registers (version)",
		"GRANT SELECT ON lefts TO PUBLIC",
		"DROP INDEX registers_version",
		"ALTER TABLE registers DROP COLUMN extra",
	}, alterShapes[:]...)
	for _, statement := range changes {
		if err := execute(ctx, w.fleet.dsn(), statement); err != nil {
			return err
		}
		pause(ctx, between(random, 20*time.Millisecond, 200*time.Millisecond))
	}
	return nil
}

// reloadSettings makes the server read its configuration again.
func reloadSettings(ctx context.Context, w *world, random *rand.Rand) error {
	for range 3 {
		if err := execute(ctx, w.fleet.dsn(), "SELECT pg_reload_conf()"); err != nil {
			return err
		}
		pause(ctx, between(random, 50*time.Millisecond, 300*time.Millisecond))
	}
	return nil
}
