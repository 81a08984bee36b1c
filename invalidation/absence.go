package invalidation

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// resumePause is the time between two questions whether the transactions that may
// have skipped their rows have ended.
const resumePause = 20 * time.Millisecond

// skippedSQL asks whether capture has given up, and for the names of the last
// return and of the one that the trim mark covers.
const skippedSQL = `SELECT g.is_called, g.last_value, t.returned, t.attended_at FROM freshet.given_up g, freshet.trim t`

// attendedSQL keeps capture from giving up again at once, and endSQL ends its giving
// up: under a name that never was one before, so that who finds it twice knows that
// nobody gave up in between.
const (
	attendedSQL = `UPDATE freshet.trim SET attended_at = now()`
	endSQL      = `SELECT setval('freshet.given_up', 2 + (random() * 1e15)::int8, false) FROM freshet.given_up WHERE is_called`
)

// runningSQL lists the transactions of this database that have an id and have not
// ended. Each holds a lock on its id from before it can skip until after it has
// ended. Of a lock that belongs to no process, as of a transaction that was
// prepared, the database may be unknown for a moment: it counts.
const runningSQL = `SELECT pg_current_xact_id()::text::int8, ARRAY(
	SELECT l.transactionid::text::int8 FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
	WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
	AND (a.datid IS NULL OR a.datname = current_database())
	AND (l.pid IS NOT NULL OR l.transactionid::text NOT IN (
		SELECT p.transaction::text FROM pg_prepared_xacts p WHERE p.database <> current_database())))`

// returnedSQL makes the statement's snapshot the trim mark if all transactions of $2
// have ended in it, and $1 is still the name of the last return, which is asked
// after the snapshot was taken.
const returnedSQL = `UPDATE freshet.trim
SET mark = pg_current_snapshot(), marked_at = now(), candidate = pg_current_snapshot(), candidate_at = now(), returned = $1
WHERE returned <> $1
AND NOT EXISTS (SELECT FROM unnest($2::int8[]) x WHERE NOT pg_visible_in_snapshot(x::text::xid8, pg_current_snapshot()))
AND (SELECT NOT g.is_called AND g.last_value = $1 FROM freshet.given_up g)`

// absence is a time without a follower after which some transactions may have
// skipped their rows, and may still be running.
type absence struct {
	// name is that of the return, 0 if there was none.
	name int64
	// running are those that ran when the return had its name.
	running []int64
}

// resume ends the giving up of capture, and waits until every transaction that may
// have skipped its row has ended. What the function freshet.attended says of it
// holds for any number of followers that return at once: each asks for itself who
// runs, and the first that may writes the mark. It reports false, at once, where
// nothing is amiss.
func (l *looker) resume(ctx context.Context, conn *pgx.Conn) (resumed bool, err error) {
	for ; ; resumed = true {
		var givenUp bool
		var name, returned int64
		var attendedAt time.Time
		if err := conn.QueryRow(ctx, skippedSQL).Scan(&givenUp, &name, &returned, &attendedAt); err != nil {
			return false, fmt.Errorf("ask whether changes were recorded: %w", explainMissing(err, conn.Config().User))
		}
		switch {
		case givenUp:
			if err := l.endGivingUp(ctx, conn, attendedAt); err != nil {
				return false, err
			}
			continue
		case name == returned:
			l.absence = absence{}
			return resumed, nil
		}
		done, err := l.coverSkipped(ctx, conn, name)
		switch {
		case ctx.Err() != nil:
			return false, fmt.Errorf("return after a time in which changes were not recorded: some of the transactions %d of that time have not ended: %w", l.absence.running, ctx.Err())
		case err != nil:
			return false, err
		case done:
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(resumePause):
		}
	}
}

func (l *looker) endGivingUp(ctx context.Context, conn *pgx.Conn, attendedAt time.Time) error {
	for _, statement := range []string{attendedSQL, endSQL} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("have changes recorded again: %w", explainMissing(err, conn.Config().User))
		}
	}
	l.f.stats.unattended(attendedAt)
	l.f.logger.Warn("changes were not recorded because nobody had followed for long: nothing that was cached before is trusted",
		"unattended_since", attendedAt, "remedy", "keep a follower running, or remove Freshet from this database with freshet uninstall")
	return nil
}

// coverSkipped makes a snapshot that has every transaction that may have skipped
// before the return of this name the trim mark, once there is one.
func (l *looker) coverSkipped(ctx context.Context, conn *pgx.Conn, name int64) (done bool, err error) {
	if l.absence.name != name {
		// After the name was read.
		running, err := readRunning(ctx, conn)
		if err != nil {
			return false, err
		}
		l.absence = absence{name, running}
	}
	tag, err := conn.Exec(ctx, returnedSQL, name, l.absence.running)
	if err != nil {
		return false, fmt.Errorf("return after an absence: %w", explainMissing(err, conn.Config().User))
	}
	return tag.RowsAffected() > 0, nil
}

// readRunning lists the transactions that run, in all the bits of their ids.
func readRunning(ctx context.Context, conn *pgx.Conn) ([]int64, error) {
	var now int64
	running := []int64{}
	if err := conn.QueryRow(ctx, runningSQL).Scan(&now, &running); err != nil {
		return nil, fmt.Errorf("ask which transactions run: %w", err)
	}
	const round = 1 << 32 // locks name ids by their lower half
	for i, id := range running {
		running[i] = now - now%round + id
		if running[i] > now+round/2 {
			running[i] -= round
		}
	}
	return running, nil
}

// outboxSQL asks how much the outbox holds. The number of rows is the server's
// estimate; none is older than marked_at once trimming is done.
const outboxSQL = `SELECT pg_stat_get_live_tuples(c.oid), pg_total_relation_size(c.oid), now() - t.marked_at
FROM freshet.trim t, pg_class c WHERE c.oid = 'freshet.outbox'::regclass`

// OutboxStats say how much the outbox holds, as of the last trimming.
type OutboxStats struct {
	// Rows is an estimate of the server's. Bytes are those of the outbox with its
	// index, on disk.
	Rows, Bytes int64
	// Oldest is the age that no row exceeds.
	Oldest time.Duration
	// UnattendedSince is when the last follower was there before the last time that
	// changes were not recorded because nobody followed; zero if this process found
	// no such time.
	UnattendedSince time.Time
}

func measureOutbox(ctx context.Context, conn *pgx.Conn) (o OutboxStats, err error) {
	if err := conn.QueryRow(ctx, outboxSQL).Scan(&o.Rows, &o.Bytes, &o.Oldest); err != nil {
		return o, fmt.Errorf("measure the outbox: %w", explainMissing(err, conn.Config().User))
	}
	return o, nil
}

// readOutbox notes how much the outbox holds.
func (c *counters) readOutbox(ctx context.Context, conn *pgx.Conn) error {
	now, err := measureOutbox(ctx, conn)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now.UnattendedSince = c.outbox.UnattendedSince
	c.outbox = now
	return nil
}

// unattended notes that changes were not recorded.
func (c *counters) unattended(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outbox.UnattendedSince = since
}
