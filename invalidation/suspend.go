package invalidation

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation/connection"
)

// errSuspended says why nothing is followed. It has no remedy but the command.
var errSuspended = errors.New("suspended by freshet suspend: nothing is cached until freshet resume")

// suspendedMark is the comment on schema freshet that says it. Dumps and upgrades
// keep comments.
const suspendedMark = "freshet: suspended"

// suspendSQL is one transaction. Its event makes every look that sees it read the
// mark, and such a look does not count; so whoever has to reflect a change that is
// made later, and recorded by nobody, is not answered from a cache. Capture is
// stopped in its functions, which takes no lock on any table: it names columns, and
// what is done to these now, no event trigger sees.
const suspendSQL = `SET LOCAL client_min_messages = warning;
INSERT INTO freshet.outbox (tags) VALUES ('{schema}');
COMMENT ON SCHEMA freshet IS '` + suspendedMark + `';
DROP EVENT TRIGGER IF EXISTS freshet_drop;
DROP EVENT TRIGGER IF EXISTS freshet_ddl_end;
DROP EVENT TRIGGER IF EXISTS freshet_ddl_start;
DO $freshet$
DECLARE
	capture record;
BEGIN
	FOR capture IN
		SELECT p.proname FROM pg_proc p
		WHERE p.pronamespace = 'freshet'::regnamespace AND starts_with(p.proname::text, 'capture_')
	LOOP
		EXECUTE format('CREATE OR REPLACE FUNCTION freshet.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
			SET search_path = pg_catalog, pg_temp AS ''BEGIN RETURN NULL; END''', capture.proname);
	END LOOP;
END
$freshet$;
SELECT pg_notify('` + doorbellChannel + `', '');`

// resumeSQL ends it, once nobody runs any more who may have changed something
// unrecorded. Whoever did not follow meanwhile finds a trim mark that it does not
// know.
const resumeSQL = `INSERT INTO freshet.outbox (tags) VALUES ('{schema}');
UPDATE freshet.trim SET mark = pg_current_snapshot(), marked_at = now(), candidate = pg_current_snapshot(), candidate_at = now();
COMMENT ON SCHEMA freshet IS NULL;
SELECT pg_notify('` + doorbellChannel + `', '');`

// busySQL lists the transactions of the database that are under way, each by a name
// that it has until its end. VACUUM is not one of interest.
const busySQL = `SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM (
	SELECT l.virtualxid AS name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
	WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database()
	AND a.pid <> pg_backend_pid() AND a.pid NOT IN (SELECT v.pid FROM pg_stat_progress_vacuum v)
	UNION ALL
	SELECT 'prepared ' || p.transaction FROM pg_prepared_xacts p WHERE p.database = current_database()) t`

// Suspend stops everything that happens at DDL and at writes, for a major upgrade or
// a schema tool, and has nothing answered from a cache until Resume: whoever follows
// finds out with its next look. The triggers stay on the tables and do nothing.
// Suspending twice changes nothing.
func Suspend(ctx context.Context, conn *pgx.Conn) error {
	if err := connection.RefusePooling(ctx, conn); err != nil {
		return fmt.Errorf("inspect the connection: %w", err)
	}
	unlock, err := lockInstallers(ctx, conn, installWaitMax)
	if err != nil {
		return err
	}
	defer unlock()
	if err := runLocking(ctx, conn, suspendSQL); err != nil {
		return explainRights(fmt.Errorf("suspend: %w", explainMissing(err, conn.Config().User)))
	}
	return nil
}

// Resume puts back in place what Suspend took away, on all tables that have triggers,
// as they are now, and lets caches answer again: with nothing older. Its report is
// Install's. It waits until the transactions that were under way have ended, as long
// as ctx allows:
//
//  1. a transaction changes a table, or a column's type, and nothing records it
//  2. the triggers are back, and a follower would follow
//  3. an answer is loaded, without the change
//  4. the transaction of 1 commits, and nobody would ever end that answer
//
// So the mark stays until nobody of 1 is left. A command under way counts whether it
// has changed something yet or not: it looked for event triggers when it began.
func Resume(ctx context.Context, conn *pgx.Conn) (Report, error) {
	if err := connection.RefusePooling(ctx, conn); err != nil {
		return Report{}, fmt.Errorf("inspect the connection: %w", err)
	}
	tables, err := armedTables(ctx, conn)
	if err != nil {
		return Report{}, err
	}
	// They hold locks on tables, which installing would not wait for.
	if err := awaitOthers(ctx, conn); err != nil {
		return Report{}, err
	}
	report, err := install(ctx, conn, exactly(tables), nil, true, func(p *plan) { p.suspended = false })
	if err != nil {
		return report, err
	}
	if err := awaitOthers(ctx, conn); err != nil {
		return report, err
	}
	if err := runSteps(ctx, conn, resumeSQL); err != nil {
		return report, explainRights(fmt.Errorf("resume: %w", err))
	}
	return report, nil
}

// exactly are patterns that match these tables alone.
func exactly(tables []relationName) []pattern {
	patterns := make([]pattern, len(tables))
	for i, t := range tables {
		patterns[i] = pattern{
			text: t.String(), literal: true,
			schema: regexp.MustCompile("^" + regexp.QuoteMeta(t.Schema) + "$"), table: regexp.MustCompile("^" + regexp.QuoteMeta(t.Name) + "$"),
		}
	}
	return patterns
}

// awaitOthers waits until the transactions that are under way have ended.
func awaitOthers(ctx context.Context, conn *pgx.Conn) error {
	var then, left []string
	if err := conn.QueryRow(ctx, busySQL).Scan(&then); err != nil {
		return fmt.Errorf("ask which transactions run: %w", err)
	}
	for {
		err := conn.QueryRow(ctx, `SELECT coalesce(array_agg(n), '{}') FROM unnest($1::text[]) n WHERE n = ANY ((`+busySQL+`)::text[])`, then).Scan(&left)
		if err != nil {
			return fmt.Errorf("wait for transactions that were under way: %w", err)
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("resume: transactions that began before have not ended (%s …): end them and resume again: %w", left[0], ctx.Err())
		case <-time.After(resumePause):
		}
	}
}
