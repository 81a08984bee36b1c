package invalidation

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/connection"
)

//go:embed schema/base.sql
var baseSQL string

//go:embed schema/events.sql
var eventsTemplate string

// eventsSQL makes the event triggers. What fails in them is a change of the schema.
var eventsSQL = strings.ReplaceAll(fill(eventsTemplate, "{{failed}}", failedTemplate), "{{everything}}", "{"+fence.SchemaText+"}")

const (
	// lockWaitMax bounds how long one attempt waits for a table's lock: writers
	// that come later queue behind the wait.
	lockWaitMax = 100 * time.Millisecond
	// lockAttemptsMax bounds the attempts for one table.
	lockAttemptsMax = 15
	// lockPause is the pause between two attempts.
	lockPause = 200 * time.Millisecond
	// serverVersionMin is the oldest server with CREATE OR REPLACE TRIGGER.
	serverVersionMin = 140000
)

// Options say what to watch.
type Options struct {
	// Force installs beside a publication FOR ALL TABLES, which will contain our
	// tables.
	Force bool
	// Watch holds patterns: "public.*", "shop.orders", "public.users(id, email)".
	// * stands for any characters, ? for one. Names are written as Postgres stores
	// them, without quotes. Where no columns are named, at most eight are chosen:
	// those of the primary key, of btree indexes and of foreign keys. If several
	// patterns match a table, the last one that names columns decides.
	Watch []string
	// FollowerRoles get what a follower and the analysis of statements need, and no
	// more: a sidecar can run as such a role, which owns nothing. Rights that were
	// given before stay, also where the tables are made anew.
	FollowerRoles []string
	// Wait is how long Install waits for locks: for that of other installers, and for those
	// of tables, which it then asks for again and again, 100 ms at a time. Default: 10 s for
	// the first, 15 attempts for each table.
	Wait time.Duration
}

// Installed is a table that is watched after Install.
type Installed struct {
	Schema, Name string
	Columns      []string
	// Tables counts the partitions and children that have the triggers too, and
	// itself.
	Tables int
	// Changed says that there was something to do.
	Changed bool
}

// Report says what Install did.
type Report struct {
	Watched []Installed
	Skipped []Skipped
	// Unreported says why changes of the schema are not reported at once, as for want
	// of the right to create event triggers; empty if they are.
	Unreported string
	// Early are the patterns that match no table yet, because their schema has none.
	Early []string
}

// Install puts the outbox, the event triggers and the triggers on all matching
// tables in place, as far as they are not. Tables that are watched and match no
// pattern stay watched. Installers wait for each other. Creating event triggers
// needs a superuser, or what a provider has in its place; who may not does without:
// see Report.Unreported. Each table is changed in a transaction of its own that
// waits for its lock 100 ms at most and is tried again a few times; a table that
// stays locked is reported as skipped. A cancelled ctx closes conn.
func Install(ctx context.Context, conn *pgx.Conn, o Options) (Report, error) {
	patterns, err := parsePatterns(o.Watch)
	if err != nil {
		return Report{}, err
	}
	if err := connection.RefusePooling(ctx, conn); err != nil {
		return Report{}, fmt.Errorf("inspect the connection: %w", err)
	}
	until := time.Now().Add(o.Wait)
	unlock, err := lockInstallers(ctx, conn, max(o.Wait, installWaitMax))
	if err != nil {
		return Report{}, err
	}
	defer unlock()
	report, err := installLocked(ctx, conn, patterns, o.FollowerRoles, false, func(p *plan) { p.force, p.until = o.Force, until })
	if err != nil {
		return report, err
	}
	c, err := catalogNow(ctx, conn)
	if err != nil {
		return report, err
	}
	report.Unreported = c.unreported()
	return report, nil
}

// catalogNow reads what is installed.
func catalogNow(ctx context.Context, conn *pgx.Conn) (*catalog, error) {
	text, _, err := readCatalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	return parseCatalog(text)
}

// install is Install for patterns. With extend, nothing that is watched is given
// up. adjust changes the plan.
func install(ctx context.Context, conn *pgx.Conn, patterns []pattern, followers []string, extend bool, adjust ...func(*plan)) (Report, error) {
	unlock, err := lockInstallers(ctx, conn, installWaitMax)
	if err != nil {
		return Report{}, err
	}
	defer unlock()
	return installLocked(ctx, conn, patterns, followers, extend, adjust...)
}

// installLocked is install under the installers' lock.
func installLocked(ctx context.Context, conn *pgx.Conn, patterns []pattern, followers []string, extend bool, adjust ...func(*plan)) (Report, error) {
	p, err := preparePlan(ctx, conn, patterns, followers, extend)
	if err != nil {
		return Report{}, err
	}
	for _, adjust := range adjust {
		adjust(&p)
	}
	if p.suspended {
		return Report{}, fmt.Errorf("install: %w", errSuspended)
	}
	if err := p.check(ctx, conn, extend); err != nil {
		return Report{Skipped: p.skipped}, err
	}
	report, err := p.carryOut(ctx, conn)
	if err != nil && p.fresh && ctx.Err() == nil {
		// All or nothing: without our event triggers, nothing of ours would be missed.
		err = errors.Join(err, uninstall(ctx, conn))
	}
	return report, err
}

// check refuses what would do no good. With extend, tables may come later.
func (p plan) check(ctx context.Context, conn *pgx.Conn, extend bool) error {
	if p.unmatched != nil && !extend {
		return p.unmatched
	}
	if p.fresh && !p.force {
		return checkPublications(ctx, conn)
	}
	return nil
}

// carryOut does what the plan says.
func (p plan) carryOut(ctx context.Context, conn *pgx.Conn) (Report, error) {
	if shared := p.sharedSQL(); len(shared) > 0 {
		if err := runLockingUntil(ctx, conn, p.until, shared...); err != nil {
			return Report{}, explainRights(fmt.Errorf("install the schema freshet: %w", err))
		}
	}
	report := Report{Skipped: p.skipped, Early: p.early}
	foreign := 0
	for _, t := range p.trees {
		err := installTree(ctx, conn, t, p.until)
		if errors.Is(err, errNotOwner) {
			foreign++
		}
		if refused, ok := tableFault(err); ok {
			report.Skipped = append(report.Skipped, Skipped{t.root.Schema, t.root.Name, refused})
			continue
		}
		if err != nil {
			return report, explainRights(fmt.Errorf("install triggers on %s: %w", t.root, err))
		}
		report.Watched = append(report.Watched, Installed{t.root.Schema, t.root.Name, t.columns, len(t.members), len(t.missing) > 0})
	}
	if p.fresh && foreign > 0 && foreign == len(p.trees) {
		return Report{Skipped: p.skipped}, fmt.Errorf("install triggers on %d tables: %w", foreign, errNotOwner)
	}
	if sql := p.lookupSQL(); sql != "" {
		if err := runLockingUntil(ctx, conn, p.until, sql); err != nil {
			return report, explainRights(fmt.Errorf("let followers resolve the names of tables: %w", err))
		}
	}
	if err := runSteps(ctx, conn, dropUnusedSQL, markFirstSQL); err != nil {
		return report, fmt.Errorf("tidy up: %w", explainRights(err))
	}
	return report, nil
}

// Script returns the SQL that Install would run now, for psql. It changes
// nothing.
func Script(ctx context.Context, conn *pgx.Conn, o Options) (string, error) {
	patterns, err := parsePatterns(o.Watch)
	if err != nil {
		return "", err
	}
	p, err := preparePlan(ctx, conn, patterns, o.FollowerRoles, false)
	if err != nil {
		return "", err
	}
	p.force = o.Force
	if err := p.check(ctx, conn, false); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("-- What freshet install would run in this database now. Tables are named by\n-- their OIDs, too: for another database, or after a restore, write it anew.\n\\set ON_ERROR_STOP on\n")
	step := func(title string, statements ...string) {
		fmt.Fprintf(&b, "\n-- %s\nBEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n%s;\n%s\nCOMMIT;\n", title, stepSettingsSQL, strings.Join(statements, "\n"))
	}
	if shared := p.sharedSQL(); len(shared) > 0 {
		step("The outbox, the event triggers, the rights of followers", shared...)
	}
	for _, t := range p.trees {
		if len(t.missing) == 0 {
			continue
		}
		step(fmt.Sprintf("Watch %q", t.root), t.functionsSQL())
		for _, table := range t.missing {
			step(fmt.Sprintf("Triggers on %q: again, if the lock timeout hits", table), t.triggersSQL(table.relationName, table.kind))
		}
	}
	if sql := p.lookupSQL(); sql != "" {
		step("Names that followers must be able to resolve", sql)
	}
	for _, s := range p.skipped {
		fmt.Fprintf(&b, "\n-- Skipped %q: %s\n", s.Schema+"."+s.Name, s.Reason)
	}
	return b.String(), nil
}

// stepSettingsSQL begins each transaction. The search path keeps functions and
// types of others from being taken for Postgres'; functions set their own. Event
// triggers report what others do to our objects, and not what we do.
var stepSettingsSQL = fmt.Sprintf("SET LOCAL lock_timeout = '%dms';\nSET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL freshet.installing = 'on'", lockWaitMax.Milliseconds())

// dropUnusedSQL removes the functions that no trigger calls any more.
const dropUnusedSQL = `DO $freshet$
DECLARE
	unused record;
BEGIN
	FOR unused IN
		SELECT p.proname FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'freshet'::pg_catalog.regnamespace AND pg_catalog.starts_with(p.proname::pg_catalog.text, 'capture_')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgfoid = p.oid)
	LOOP
		EXECUTE pg_catalog.format('DROP FUNCTION freshet.%I()', unused.proname);
	END LOOP;
END
$freshet$;`

// preparePlan asks the database what there is and what is missing.
func preparePlan(ctx context.Context, conn *pgx.Conn, patterns []pattern, followers []string, extend bool) (p plan, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := conn.PgConn().Exec(ctx, stepSettingsSQL).ReadAll(); err != nil {
			return fmt.Errorf("prepare the session: %w", err)
		}
		if err := checkServer(ctx, conn); err != nil {
			return err
		}
		c, err := catalogNow(ctx, conn)
		if err != nil {
			return err
		}
		all, err := readCandidates(ctx, conn)
		if err != nil {
			return err
		}
		empty, err := emptySchemas(ctx, conn)
		if err != nil {
			return err
		}
		p = newPlan(patterns, all, empty, c, extend)
		if !p.hopeful { // of one who is not asked to install, to try in vain every time
			if err := conn.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&p.hopeful); err != nil {
				return fmt.Errorf("ask whether the role is a superuser: %w", err)
			}
		}
		if p.followers, err = readFollowers(ctx, conn, followers); err != nil {
			return err
		}
		p.lacking, err = lackRights(ctx, conn, p.followers)
		return err
	})
	return p, err
}

// installTree creates the function and puts the triggers on each member.
func installTree(ctx context.Context, conn *pgx.Conn, t treePlan, until time.Time) error {
	if len(t.missing) == 0 {
		return nil
	}
	if err := runSteps(ctx, conn, t.functionsSQL()); err != nil {
		return err
	}
	for _, table := range t.missing {
		err := runLockingUntil(ctx, conn, until, t.triggersSQL(table.relationName, table.kind))
		if sqlState(err) == "42501" {
			return errNotOwner
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errNotOwner is why a role cannot watch a table that it does not own.
var errNotOwner = errors.New("the role has no right to put triggers on it; install again as its owner or as a superuser")

// runLocking runs statements that need a table's lock, again and again while
// the lock cannot be had.
func runLocking(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	return runLockingUntil(ctx, conn, time.Time{}, statements...)
}

// runLockingUntil is runLocking with attempts until a moment, if that is later than the
// usual number of them takes.
func runLockingUntil(ctx context.Context, conn *pgx.Conn, until time.Time, statements ...string) error {
	for attempt := 1; ; attempt++ {
		err := runSteps(ctx, conn, statements...)
		if err == nil || !lockFault(err) || attempt >= lockAttemptsMax && !time.Now().Before(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// runSteps runs statements in one transaction.
func runSteps(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	for _, statement := range append([]string{stepSettingsSQL}, statements...) {
		// The simple protocol, because the files hold many statements.
		if _, err := tx.Conn().PgConn().Exec(ctx, statement).ReadAll(); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
	}
	return tx.Commit(ctx)
}

func sqlState(err error) string {
	if pgError, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgError.Code
	}
	return ""
}

// lockFault reports whether trying again may help: lock_not_available,
// deadlock_detected, or a catalog row that somebody else changed at the same time,
// which has no code of its own, or made: of what all databases of a server share.
func lockFault(err error) bool {
	switch sqlState(err) {
	case "55P03", "40P01", "XX000", "23505":
		return true
	}
	return false
}

// tableFault reports whether err concerns one table only, and how to say it.
func tableFault(err error) (string, bool) {
	if errors.Is(err, errNotOwner) {
		return errNotOwner.Error(), true
	}
	switch sqlState(err) {
	case "55P03", "40P01":
		return "its lock could not be had because transactions hold it; install again when they have ended", true
	case "42P01", "3F000":
		return "it was dropped or renamed meanwhile; install again", true
	}
	return "", false
}

// explainRights says what to do about missing rights.
func explainRights(err error) error {
	if sqlState(err) == "42501" {
		return fmt.Errorf("%w; install as a role that may CREATE in this database and owns the tables, or let one run the output of freshet install --print-sql", err)
	}
	return err
}
