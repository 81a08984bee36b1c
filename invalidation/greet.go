package invalidation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/connection"
)

const (
	// statementWaitMax bounds one statement of a follower, by the server's clock
	// and, a little later, by ours.
	statementWaitMax = 5 * time.Second
	// tableWaitMax bounds waiting for a lock. It is below deadlock_timeout: where a
	// user's command takes several of our tables, as TRUNCATE may, and a look has
	// others of them, the look gives way.
	tableWaitMax = 500 * time.Millisecond
	// adoptAttemptsMax bounds how often a session tries to agree with others on an
	// incarnation that nobody has named yet.
	adoptAttemptsMax = 5
	// idleMax is after what time the server ends a session of ours that says
	// nothing. A process that is frozen, or whose machine is gone, keeps the locks of
	// its sessions until then: without a limit writers would ring for nobody, for
	// ever, and its transaction would keep a table locked.
	idleMax = 20 * time.Second
)

// sessionSettings cannot weaken what is read in a session: snapshots per statement,
// on the primary's catalogs, whatever the role's or the database's defaults.
var sessionSettings = map[string]string{
	"default_transaction_isolation":       "read committed",
	"default_transaction_deferrable":      "off",
	"default_transaction_read_only":       "off",
	"enable_seqscan":                      "off",
	"plan_cache_mode":                     "force_generic_plan",
	"jit":                                 "off",
	"max_parallel_workers_per_gather":     "0",
	"search_path":                         "pg_catalog, pg_temp",
	"client_min_messages":                 "warning",
	"statement_timeout":                   statementWaitMax.String(),
	"lock_timeout":                        tableWaitMax.String(),
	"idle_session_timeout":                idleMax.String(),
	"idle_in_transaction_session_timeout": idleMax.String(),
}

// connect opens a session of a follower.
func connect(ctx context.Context, config *pgx.ConnConfig, before connection.BeforeFunc) (*pgx.Conn, error) {
	return connection.Open(ctx, connection.Options{Config: config, Before: before, Name: "freshet follower", Settings: sessionSettings})
}

// settingText spells a duration as the value of a setting.
func settingText(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// paced allows a session to say nothing for longer than idleMax, because what it
// does is done every so often.
func paced(ctx context.Context, conn *pgx.Conn, pause time.Duration) error {
	idle := 4 * pause
	if idle <= idleMax {
		return nil
	}
	if _, err := conn.Exec(ctx, "SELECT set_config('idle_session_timeout', $1, false)", settingText(idle)); err != nil {
		return fmt.Errorf("prepare the session: %w", err)
	}
	return nil
}

// direct reports whether the session is with the server itself. The locks of a
// session that a pooler handed out for a transaction would stay when it is gone.
func direct(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return false, fmt.Errorf("ask for the server's process: %w", err)
	}
	return pid == conn.PgConn().PID(), nil
}

// closeConn closes a session politely, but not for long.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is of no use any more, whatever its end was
}

// greeting is what a new session learns of the database.
type greeting struct {
	incarnation fence.Incarnation
	token       string
	mark        fence.Snapshot
	outbox      uint32 // where the outbox lies; the incarnation holds it, too
}

// greetSQL asks for the incarnation and whether the trim mark is of it. Where the
// outbox lies it asks first: if that changes now, the next look sees it.
const greetSQL = `SELECT ` + outboxFileSQL + `, freshet.incarnation(), (SELECT token FROM freshet.incarnation), t.incarnation, t.mark::text FROM freshet.trim t`

// outboxFileSQL asks for the file that the outbox lies in. TRUNCATE takes another, and
// a table made anew has another: events may be gone that nobody has received.
const outboxFileSQL = `pg_relation_filenode('freshet.outbox')`

// markFirstSQL puts the mark's row back where somebody emptied the table. Nobody
// knows what was trimmed: nothing older than now is there.
const markFirstSQL = `INSERT INTO freshet.trim (mark, candidate, candidate_at)
SELECT s, s, now() FROM pg_current_snapshot() AS s
ON CONFLICT DO NOTHING`

// mintSQL makes the token that recovery took away, unless somebody else did.
const mintSQL = `INSERT INTO freshet.incarnation (token) VALUES (gen_random_uuid()::text) ON CONFLICT DO NOTHING`

// adoptSQL begins the new incarnation. Its statement is its only snapshot: the
// mark is from before the row is written, so every look that finds the new
// name has a head that includes the mark. Of two that come at once, one waits
// and then finds nothing to do. Rows from the future are of another server's
// ids; they would be read at every look.
const adoptSQL = `WITH adopted AS (
	UPDATE freshet.trim
	SET incarnation = freshet.incarnation(), mark = pg_current_snapshot(), marked_at = now(), candidate = pg_current_snapshot(), candidate_at = now()
	WHERE incarnation IS DISTINCT FROM freshet.incarnation()
	RETURNING one
), copied AS (
	INSERT INTO freshet.incarnation_logged (token)
	SELECT i.token FROM freshet.incarnation i, adopted
	ON CONFLICT (one) DO UPDATE SET token = excluded.token
)
DELETE FROM freshet.outbox
WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()) AND EXISTS (SELECT FROM adopted)`

// greet finds the incarnation, and begins one where a crash, a failover, a
// restore or a first start left none.
func greet(ctx context.Context, conn *pgx.Conn) (greeting, error) {
	var standby bool
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return greeting{}, fmt.Errorf("greet the database: %w", err)
	}
	if standby {
		return greeting{}, errors.New("greet the database: the server is a standby; follow the primary")
	}
	for range adoptAttemptsMax {
		var outbox uint32
		var incarnation, token, marked *string
		var mark string
		err := conn.QueryRow(ctx, greetSQL).Scan(&outbox, &incarnation, &token, &marked, &mark)
		if errors.Is(err, pgx.ErrNoRows) {
			if _, err := conn.Exec(ctx, markFirstSQL); err != nil {
				return greeting{}, fmt.Errorf("put the row of freshet.trim back: %w", explainMissing(err, conn.Config().User))
			}
			continue
		}
		if err != nil {
			return greeting{}, fmt.Errorf("greet the database: %w", explainMissing(err, conn.Config().User))
		}
		if incarnation != nil && token != nil && marked != nil && *marked == *incarnation {
			snapshot, err := fence.ParseSnapshot(mark)
			return greeting{fence.Incarnation(*incarnation), *token, snapshot, outbox}, err
		}
		for _, statement := range []string{mintSQL, adoptSQL} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return greeting{}, fmt.Errorf("begin a new incarnation: %w", explainMissing(err, conn.Config().User))
			}
		}
	}
	return greeting{}, errors.New("greet the database: its incarnation changes again and again")
}

// explainMissing says what to do when our tables are not there, or closed to the
// role that follows.
func explainMissing(err error, role string) error {
	switch {
	case notInstalled(err):
		return fmt.Errorf("%w; nothing is installed in this database: run, as a superuser, %s", err, installCommand(nil, role))
	case sqlState(err) == "42501":
		return fmt.Errorf("%w; role %s may not follow: run, as the role that installed, %s", err, role, installCommand(nil, role))
	}
	return err
}

// installCommand is what a person with the rights can run, so that a role can
// follow without them. Without patterns, it is for them to choose.
func installCommand(patterns []string, role string) string {
	if len(patterns) == 0 {
		patterns = []string{"public.*"}
	}
	command := "freshet install --upstream DSN"
	for _, p := range patterns {
		command += " --watch '" + p + "'"
	}
	return command + " --follower-role " + role
}

// notInstalled reports whether a statement failed because our tables are not there.
func notInstalled(err error) bool {
	switch sqlState(err) {
	case "42P01", "42703", "42883", "3F000":
		return true
	}
	return false
}
