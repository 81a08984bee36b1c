package invalidation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

const (
	// installPause is how often new tables are looked for without an event.
	installPause = 30 * time.Second
	// trimPauseMin and trimPauseMax bound how often the outbox is trimmed; between
	// them it is a tenth of the retention.
	trimPauseMin = 20 * time.Millisecond
	trimPauseMax = time.Minute
)

// keeper does what must not delay a look: it compares what is installed with
// what the state was made from, installs triggers on new tables, and trims. It
// has a connection of its own and belongs to one goroutine.
type keeper struct {
	f *Follower
	// trimAt and installAt are when the next trimming and the next search for new
	// tables are due.
	trimAt, installAt fence.Instant
	attempted         sync.Once
	// verified is from the last audit that found what is known, and planned are the
	// versions at which there was last nothing to install.
	verified verified
	planned  string
	// learnAfter is when a column that was tried may be tried again, and
	// mayNotInstall is set once Postgres said that we have no right to add any.
	learnAfter    map[lesson]fence.Instant
	mayNotInstall bool
	// young are tables without triggers by OID, for a role that has to leave tables
	// alone that were changed a moment ago.
	young map[uint32]young
}

// installTried reports whether the keeper has tried to install what a new database lacks.
func (f *Follower) installTried() bool {
	select {
	case <-f.attempted:
		return true
	default:
		return false
	}
}

// awaitInstall waits until the keeper has tried to install what a new database
// lacks. It reports false if it has nothing to install.
func (f *Follower) awaitInstall(ctx context.Context) bool {
	if len(f.watch) == 0 {
		return false
	}
	select {
	case <-f.attempted:
		return true
	case <-ctx.Done():
		return false
	}
}

// session works until something fails.
func (k *keeper) session(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, connectWaitMax)
	defer cancel()
	conn, err := connect(connectCtx, k.f.config, k.f.beforeConnect)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	trimPause := min(max(time.Duration(k.f.retention.Load())/10, trimPauseMin), trimPauseMax)
	if err := paced(connectCtx, conn, max(k.f.verify, trimPause)); err != nil {
		return err
	}
	k.f.stats.works(partKeeper)
	ticker := time.NewTicker(min(k.f.verify, trimPause))
	defer ticker.Stop()
	k.installAt = 0 // The database may have been made anew.
	for {
		if err := k.tryInstall(ctx, conn); err != nil {
			return err
		}
		if err := k.audit(ctx, conn); err != nil {
			return err
		}
		if err := k.trimIfDue(ctx, conn, trimPause); err != nil {
			return err
		}
		if err := k.attend(ctx, conn, ticker.C); err != nil {
			return err
		}
	}
}

// tryInstall installs what is missing and notes what keeps it from that: without the rights
// to install, what is installed can be followed. It returns an error if the connection is lost.
func (k *keeper) tryInstall(ctx context.Context, conn *pgx.Conn) error {
	err := k.install(ctx, conn)
	k.attempted.Do(func() { close(k.f.attempted) })
	switch {
	case err == nil:
		return nil
	case conn.IsClosed():
		return err
	}
	k.f.stats.noted(err)
	k.f.logger.Warn("new tables are not watched", "error", err)
	return nil
}

// trimIfDue trims the outbox and reads what is told of it and of the server, unless that was
// done less than pause ago.
func (k *keeper) trimIfDue(ctx context.Context, conn *pgx.Conn, pause time.Duration) error {
	now := fence.Now()
	if now < k.trimAt {
		return nil
	}
	if _, err := trim(ctx, conn, time.Duration(k.f.retention.Load())); err != nil {
		return explainMissing(err, conn.Config().User)
	}
	if err := k.f.stats.readOutbox(ctx, conn); err != nil {
		return err
	}
	if err := k.f.stats.readServer(ctx, conn); err != nil {
		if conn.IsClosed() {
			return err
		}
		// It is for people alone: a role that may not ask goes on following.
		k.f.logger.Debug("the server does not say what it is", "error", err)
	}
	k.trimAt = now.Add(pause)
	return nil
}

// attend waits until somebody asks for something, and does it, or until the next tick. It
// returns an error if the connection is lost or ctx ends.
func (k *keeper) attend(ctx context.Context, conn *pgx.Conn, tick <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-k.f.installs:
		k.installAt, k.planned = 0, ""
	case c := <-k.f.changes:
		if err := k.tell(ctx, conn, c); err != nil {
			k.f.stats.happened(HappenedDDL, c.tables, c.at)
			if conn.IsClosed() {
				return err
			}
			k.f.logger.Debug("cannot say which tables have changed", "error", err)
		}
	case l := <-k.f.lessons:
		if err := k.learn(ctx, conn, l); err != nil {
			if conn.IsClosed() {
				return err
			}
			k.f.stats.noted(err)
			k.f.logger.Warn("cannot watch another column", "error", err)
		}
	case <-tick:
	}
	return nil
}

// audit looks for what no event reported. The goroutine that looks then reads
// it again, because its next head must include it.
func (k *keeper) audit(ctx context.Context, conn *pgx.Conn) error {
	began := fence.Now()
	if k.f.resting.now() || began.Sub(fence.Instant(k.f.auditedAt.Load())) < k.f.verify/2 {
		return nil
	}
	known := k.f.audited.Load()
	if known == nil {
		return nil // the first one is the looker's
	}
	spared, now, err := k.verified.spare(ctx, conn, known)
	if err != nil {
		return err
	}
	if !spared {
		k.f.stats.audits.Add(1)
		found, err := readAudit(ctx, conn)
		if err != nil {
			return err
		}
		if !found.same(known) {
			k.f.Suspect()
			k.f.audience.ring()
			return nil
		}
	}
	k.verified = now
	k.f.auditedAt.Store(int64(began))
	return nil
}

// install puts triggers on matching tables that have none. While the follower rests it
// does so only where an event has asked for it.
func (k *keeper) install(ctx context.Context, conn *pgx.Conn) error {
	now := fence.Now()
	if len(k.f.watch) == 0 || now < k.installAt || k.f.resting.now() && k.installAt != 0 {
		return nil
	}
	k.installAt = now.Add(installPause)
	versions := k.verified.versions // of at most a moment ago: what is newer, the next time finds
	if versions != "" && versions == k.planned {
		return nil
	}
	patterns, err := parsePatterns(k.f.watch)
	if err != nil {
		return err
	}
	p, err := preparePlan(ctx, conn, patterns, nil, true)
	if err != nil {
		return err
	}
	if p.suspended {
		k.f.wanting.Store(nil)
		return nil
	}
	if !p.changes() {
		k.planned = versions
		k.f.wanting.Store(nil)
		return nil
	}
	may, err := mayInstall(ctx, conn)
	if err != nil {
		return err
	}
	if !may {
		k.wants(p, conn.Config().User)
		return nil
	}
	k.f.wanting.Store(nil)
	holds, err := holdsGrants(ctx, conn)
	if err != nil {
		return err
	}
	leave := func(p *plan) {
		if !holds && k.leaveYoung(p, fence.Now()) {
			k.installAt = now.Add(quietPeriod / 2)
		}
	}
	if leave(&p); !p.changes() {
		return nil
	}
	report, err := install(ctx, conn, patterns, nil, true, leave)
	if err != nil {
		return fmt.Errorf("watch new tables: %w", err)
	}
	for _, t := range report.Watched {
		if t.Changed {
			k.f.logger.Info("watch a table", "table", t.Schema+"."+t.Name, "columns", t.Columns)
		}
	}
	k.f.audience.ring()
	return nil
}

// mayInstall reports whether there is any hope in trying. A role that only follows
// must not try: each attempt would be an error in the server's log.
func mayInstall(ctx context.Context, conn *pgx.Conn) (may bool, err error) {
	err = conn.QueryRow(ctx, `SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = 'freshet')
		THEN has_schema_privilege('freshet', 'CREATE') ELSE has_database_privilege(current_database(), 'CREATE') END`).Scan(&may)
	if err != nil {
		return false, fmt.Errorf("ask for the right to install: %w", err)
	}
	return may, nil
}

// wants says, once, what there would be to install, and which command does it.
func (k *keeper) wants(p plan, role string) {
	text := fmt.Sprintf("%s, and role %s has no right to install: run, as the role that installed or as a superuser, %s",
		p.wanting(), role, installCommand(k.f.watch, role))
	if known := k.f.wanting.Load(); known != nil && *known == text {
		return
	}
	k.f.wanting.Store(&text)
	k.f.logger.Warn("not everything is watched that should be", "problem", text)
}
