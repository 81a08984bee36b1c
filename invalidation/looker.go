package invalidation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// Why the fence was told to trust nothing older.
const (
	resetStart    = "start"      // the first look in an incarnation
	resetOverflow = "overflow"   // more events than one look reads
	resetTrimmed  = "trimmed"    // the outbox was emptied beyond our head
	resetBackward = "backward"   // the snapshot lacks what an earlier one saw
	resetSettings = "settings"   // the server's configuration was loaded again
	resetRoles    = "unreported" // roles, their settings, triggers or definitions changed without an event
)

// settleWait is how long after a reload of the configuration some backend may
// still answer under the old one: the signal reaches them one by one.
const settleWait = 200 * time.Millisecond

// looker makes the looks. It belongs to one goroutine, and outlives sessions.
type looker struct {
	f *Follower
	// incarnation and head are what the fence holds; known is false until the first
	// look.
	known       bool
	incarnation fence.Incarnation
	head        fence.Snapshot
	// lookBegan is when the look began that head is of, 0 before the first, and published the
	// state that it was published with.
	lookBegan fence.Instant
	published *State
	// absence is what its return waits for.
	absence absence
	// audited is what the state was made from, nil before the first.
	audited *audit
	// definitions is what is known of them where no event reports a change.
	definitions definitions
	// comparedEvery is FollowerOptions.Definitions for the look under way: what decides
	// whether it compares is also what publish lets readers reckon with, even if
	// SetDefinitions is called in between.
	comparedEvery time.Duration
	// settleAt, unless zero, is when a reload must be taken for settled.
	settleAt fence.Instant
	resting  resting

	// These are of the current session.
	conn  *pgx.Conn
	greet greeting
	// settingsLoaded is when this session's process loaded the configuration, 0
	// before the first look. What changed while there was no session, the audit
	// finds.
	settingsLoaded int64
	vigil          *vigil
	// untold is set while the other followers were not told of the last events.
	untold bool
}

// session connects and looks until something fails.
func (l *looker) session(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, connectWaitMax)
	defer cancel()
	conn, err := connect(connectCtx, l.f.config, l.f.beforeConnect)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	// Closing the socket ends a statement under way when ctx ends, without a watcher
	// for each statement.
	stop := context.AfterFunc(ctx, func() { _ = conn.PgConn().Conn().Close() })
	defer stop()
	// Asked before the greeting: the keeper may end its first attempt between a greeting that
	// finds nothing and the answer to it (TestInstalledBesideTheGreeting).
	tried := l.f.installTried()
	err = l.greetOn(connectCtx, conn)
	if notInstalled(err) {
		// Dropped, or the database was made anew.
		l.f.requestInstall()
		if !tried && l.f.awaitInstall(connectCtx) {
			err = l.greetOn(connectCtx, conn)
		}
	}
	if err != nil {
		return err
	}
	l.f.stats.works(partLooker)
	defer func() { l.f.stats.awake.Store(false) }()
	return l.loop(ctx)
}

// greetOn makes conn the session in which looks are made.
func (l *looker) greetOn(ctx context.Context, conn *pgx.Conn) (err error) {
	if l.greet, err = greet(ctx, conn); err != nil {
		return err
	}
	if l.incarnation != l.greet.incarnation {
		l.absence = absence{} // its ids are of the other incarnation
	}
	resumed, err := l.resume(ctx, conn)
	if err != nil {
		return err
	}
	if resumed { // the mark was moved
		if l.greet, err = greet(ctx, conn); err != nil {
			return err
		}
	}
	l.conn, l.vigil, l.settingsLoaded = conn, &vigil{}, 0
	if err := paced(ctx, conn, max(l.f.poll, time.Duration(l.f.proof.Load()))); err != nil {
		return err
	}
	if l.vigil.direct, err = direct(ctx, conn); err != nil {
		return err
	}
	if l.incarnation != l.greet.incarnation {
		// The state was seen at a snapshot of the other incarnation's ids.
		l.known, l.audited = false, nil
		l.incarnation, l.head = l.greet.incarnation, l.greet.mark
	}
	return nil
}

// loop looks whenever somebody waits, the doorbell rang, or time is up.
func (l *looker) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	// What is watched may have changed while there was no session.
	l.f.Suspect()
	l.resting.since = fence.Now()
	for {
		again, err := l.step(ctx)
		if err != nil {
			return err
		}
		if !again && l.restDue(fence.Now()) {
			if err := l.rest(ctx); err != nil {
				return err
			}
			continue
		}
		pause := l.pace()
		if l.vigil.awake {
			pause = awakePause
		}
		if again {
			pause = 0
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.f.audience.wake:
		case <-timer.C:
		}
	}
}

// step makes one look for all who wait for it. again says that another one
// should follow at once.
func (l *looker) step(ctx context.Context) (again bool, err error) {
	began := l.f.audience.begin()
	changed, events, err := l.auditAndLook(ctx, began)
	if err != nil {
		l.f.audience.finish(err)
		return false, err
	}
	l.f.audience.open()
	l.f.audience.finish(nil)
	ctx, cancel := context.WithTimeout(ctx, statementWaitMax+time.Second)
	defer cancel()
	slept, err := l.vigil.after(ctx, l.conn, events > 0, began)
	l.f.stats.awake.Store(l.vigil.awake)
	l.f.hints.tell(began)
	l.untold = l.untold || events > 0
	if l.untold && (l.vigil.awake || slept) && l.f.bell.announce(began) {
		l.untold = false
	}
	// A changed state can be relied on only by loads labelled with a later head. And
	// who went to sleep looks once more, for writers who found it awake.
	return changed || slept, err
}

// auditAndLook audits before the look, if that is due. Whether it is, is asked when
// the look has begun: see Suspect.
func (l *looker) auditAndLook(ctx context.Context, began fence.Instant) (changed bool, events int, err error) {
	suspected := l.f.suspect.Swap(false)
	if suspected || l.f.auditOverdue(began) {
		if err := l.audit(ctx); err != nil {
			return false, 0, err
		}
	}
	if suspected {
		l.definitions.began = 0
	}
	return l.lookOnce(ctx, began)
}

// lookOnce looks and tells the fence. changed says that the state of what is
// watched is new.
func (l *looker) lookOnce(ctx context.Context, began fence.Instant) (changed bool, events int, err error) {
	return l.lookFor(ctx, began, began)
}

// lookFor is lookOnce by whose head reads are fresh since a moment: that at which it began,
// or 0 if it vouches for nothing.
func (l *looker) lookFor(ctx context.Context, began, fresh fence.Instant) (changed bool, events int, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementWaitMax+time.Second)
	defer cancel()
	s, redefined, err := l.lookComparing(ctx, began)
	if err != nil {
		return false, 0, err
	}
	reloaded := l.reloaded(s, began)
	if reloaded {
		if s, err = l.lookPastReload(ctx); err != nil {
			return false, 0, err
		}
	}
	if s.token != l.greet.token || s.incarnation != l.greet.incarnation || s.outbox != l.greet.outbox {
		return false, 0, errChanged
	}
	cause := l.resetCause(s, reloaded, redefined)
	if redefined || s.schema || cause == resetSettings || cause == resetStart {
		// Only now is it known what the events were about: the look does not count
		// before what is watched was verified again, at a later snapshot.
		if changed, err = l.verify(ctx); err != nil {
			return false, 0, err
		}
		l.f.onSchema()
		l.f.requestInstall()
	} else if s.roles {
		l.f.onSchema()
	}
	if err := l.tellDistrusted(ctx, s, cause); err != nil {
		return false, 0, err
	}
	l.happen(s)
	l.publish(s, cause, began, fresh)
	return changed, len(s.events), nil
}

// reloaded reports whether the configuration was loaded again, now or so short
// a time ago that some process had not heard of it until now.
func (l *looker) reloaded(s *sighting, began fence.Instant) bool {
	now := l.settingsLoaded != 0 && s.settingsLoaded != l.settingsLoaded
	settled := l.settleAt != 0 && began >= l.settleAt
	l.settingsLoaded = s.settingsLoaded
	switch {
	case now:
		l.settleAt = began.Add(settleWait)
	case settled:
		l.settleAt = 0
	}
	return now || settled
}

// lookPastReload looks once more, at a head that no label from before the reload
// can include.
func (l *looker) lookPastReload(ctx context.Context) (*sighting, error) {
	if _, err := l.conn.Exec(ctx, unreportedSQL, fence.SchemaText); err != nil {
		return nil, fmt.Errorf("report the reload of the configuration: %w", err)
	}
	return look(ctx, l.conn, l.head)
}

// resetCause says why the fence must trust nothing older, "" if it need not.
func (l *looker) resetCause(s *sighting, reloaded, redefined bool) string {
	switch {
	case s.overflow:
		return resetOverflow
	case !l.head.Includes(s.mark):
		return resetTrimmed
	case !s.snapshot.Includes(l.head):
		return resetBackward
	case l.f.unreported.Swap(false) && l.known || redefined:
		return resetRoles
	case reloaded && l.known:
		return resetSettings
	case !l.known:
		return resetStart
	}
	return ""
}

// publish tells the fence, in the order that its readers rely on. fresh is lookFor's.
func (l *looker) publish(s *sighting, cause string, began, fresh fence.Instant) {
	l.f.stats.looked(s, cause, began) // who is served by this look finds it counted
	head := &fence.Head{Incarnation: l.incarnation, Snapshot: s.snapshot}
	if l.comparing() {
		l.f.fence.SetLag(l.comparedEvery)
	} else {
		defer l.f.fence.SetLag(0)
	}
	switch cause {
	case "":
		l.f.fence.Advance(head, s.events, fresh)
	case resetStart:
		// The outbox holds everything since the mark, so what others stored in this
		// incarnation since then can be judged.
		l.f.fence.Reset(head, l.head, s.events, fresh)
	default:
		l.f.fence.Reset(head, s.snapshot, nil, fresh)
	}
	// A head is remembered for standbys only once the fence holds what it includes.
	l.f.heads.note(head, s.position, l.greet.token, cause != "")
	if n := len(s.events); n > 0 && cause == "" && fresh != 0 && l.f.onEvents != nil {
		l.f.onEvents(n, fence.Now().Sub(l.lookBegan))
	}
	if fresh != 0 {
		l.f.hints.brought(l.incarnation, s.events, cause != "" || s.schema || s.roles)
	}
	l.known, l.head, l.lookBegan, l.published = true, s.snapshot, began, l.f.State()
	if cause != "" {
		l.f.logger.Info("trust nothing older", "cause", cause, "head", s.snapshot.String())
	}
}

// audit reads what events may fail to report. What changed must be included in
// the head that the fence is reset to, so this comes before a look.
func (l *looker) audit(ctx context.Context) error {
	began := fence.Now()
	ctx, cancel := context.WithTimeout(ctx, statementWaitMax+time.Second)
	defer cancel()
	a, err := readAudit(ctx, l.conn)
	if err != nil {
		return err
	}
	if l.audited == nil || !l.audited.same(a) {
		if err := l.takeIn(ctx, a); err != nil {
			return err
		}
	}
	if l.f.State().suspended {
		return errSuspended
	}
	l.f.auditedAt.Store(int64(began))
	return nil
}

// takeIn takes in an audit that found something else than the one before, if there was any.
// What ends single answers is reported by an event, which the next look receives; for what
// ends all, the fence trusts nothing older than that look.
func (l *looker) takeIn(ctx context.Context, a *audit) error {
	a.roles = a.silent.oids()
	before, moved := "", []string{fence.SchemaText}
	if l.audited != nil {
		before, moved = l.audited.silent.sum, a.silent.endedBy(&l.audited.silent)
	}
	if err := a.silent.record(ctx, l.conn, before, moved); err != nil {
		return err
	}
	if l.audited == nil || l.audited.catalog != a.catalog || slices.Contains(moved, fence.SchemaText) {
		if err := l.setState(ctx, a); err != nil {
			return err
		}
		l.f.unreported.Store(true)
	}
	l.audited = a
	l.f.audited.Store(a)
	if len(moved) > 0 || l.f.unreported.Load() {
		l.f.onSchema()
	}
	return nil
}

// verify reads what is watched, and reports whether it is different.
func (l *looker) verify(ctx context.Context) (changed bool, err error) {
	a := &audit{silent: l.audited.silent, roles: l.audited.roles}
	if a.catalog, a.at, err = readCatalog(ctx, l.conn); err != nil {
		return false, err
	}
	if l.audited.same(a) {
		if len(l.f.State().lost) == 0 {
			return false, nil
		}
		return false, l.setState(ctx, a) // one of them may be renamed or dropped
	}
	if err := l.setState(ctx, a); err != nil {
		return true, err
	}
	if l.f.State().suspended {
		// The session ends; once it was resumed an audit finds that, and resets the fence.
		l.f.onSchema()
		return true, errSuspended
	}
	return true, nil
}

// setState decides anew what is watched.
func (l *looker) setState(ctx context.Context, a *audit) error {
	c, err := parseCatalog(a.catalog)
	if err != nil {
		return err
	}
	state := newState(c, a.at)
	if err := l.noteLost(ctx, state, c); err != nil {
		return err
	}
	state.keepSince(l.f.State())
	if names := newlyWatched(l.f.State(), state); l.audited != nil && len(names) > 0 {
		l.f.stats.happened(HappenedInstall, names, time.Now())
	}
	before := l.f.State().Problems()
	l.audited = a
	l.f.audited.Store(a)
	l.f.state.Store(state)
	if problems := state.Problems(); len(problems) > 0 && !slices.Equal(problems, before) {
		l.f.logger.Warn("not everything that is installed can be watched", "problems", problems)
	}
	return nil
}
