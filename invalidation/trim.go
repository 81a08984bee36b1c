package invalidation

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// trimRowsMax bounds the rows deleted in one transaction.
const trimRowsMax = 5000

// trimBatchesMax bounds the transactions of one trimming; the next one goes on.
const trimBatchesMax = 200

// markSQL moves the trim mark: a candidate that is older than the retention
// becomes the mark, and the present the next candidate. So what is deleted is
// between one and two retentions old. A snapshot and not a time: the row of a
// transaction that was long under way is kept until a follower had the time to
// see it.
const markSQL = `UPDATE freshet.trim
SET mark = candidate, marked_at = candidate_at, candidate = pg_current_snapshot(), candidate_at = now()
WHERE incarnation = freshet.incarnation() AND now() - candidate_at >= $1::int8 * interval '1 microsecond'`

// stillAttendedSQL says that a follower is there, no more often than the patience of
// capture needs. Once capture has given up, whoever ends that says it.
const stillAttendedSQL = `UPDATE freshet.trim SET attended_at = now()
WHERE (attended_at < now() - patience / 48 OR attended_at > now()) AND (SELECT NOT g.is_called FROM freshet.given_up g)`

// trimSQL deletes rows that the mark sees. It reads the mark in the statement
// that deletes, so that nothing is deleted which the published mark lacks. It
// names rows by their place: a join on the key is planned with the statistics of
// the last VACUUM, and where that found the outbox empty it takes time that grows
// with the square of a burst. The statement's snapshot keeps places from being
// used again.
const trimSQL = `DELETE FROM freshet.outbox WHERE ctid = ANY (ARRAY(
	SELECT o.ctid FROM freshet.outbox o
	WHERE o.xid < (SELECT pg_snapshot_xmax(t.mark) FROM freshet.trim t WHERE t.incarnation = freshet.incarnation())
	AND pg_visible_in_snapshot(o.xid, (SELECT t.mark FROM freshet.trim t))
	ORDER BY o.xid LIMIT $1))`

// tokenSQL puts the token back where standbys read it, if somebody took it away.
const tokenSQL = `INSERT INTO freshet.incarnation_logged (token) SELECT token FROM freshet.incarnation ON CONFLICT DO NOTHING`

// trim moves the mark if it is time, and deletes what it covers. One process
// does it at a time, for the others it is done. It locks rows that nobody else
// writes, and never a table.
func trim(ctx context.Context, conn *pgx.Conn, retention time.Duration) (deleted int64, err error) {
	var mine bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", trimLock).Scan(&mine); err != nil {
		return 0, fmt.Errorf("trim the outbox: %w", err)
	}
	if !mine {
		return 0, nil
	}
	defer func() {
		if _, unlockErr := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", trimLock); err == nil && unlockErr != nil {
			err = fmt.Errorf("trim the outbox: %w", unlockErr)
		}
	}()
	if _, err := conn.Exec(ctx, stillAttendedSQL); err != nil {
		return 0, fmt.Errorf("say that a follower is there: %w", err)
	}
	if _, err := conn.Exec(ctx, markSQL, retention.Microseconds()); err != nil {
		return 0, fmt.Errorf("move the trim mark: %w", err)
	}
	if _, err := conn.Exec(ctx, tokenSQL); err != nil {
		return 0, fmt.Errorf("put the token back: %w", err)
	}
	for range trimBatchesMax {
		done, err := conn.Exec(ctx, trimSQL, trimRowsMax)
		if err != nil {
			return deleted, fmt.Errorf("trim the outbox: %w", err)
		}
		deleted += done.RowsAffected()
		if done.RowsAffected() < trimRowsMax {
			break
		}
	}
	return deleted, nil
}
