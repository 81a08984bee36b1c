package wire

import (
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// probe asks Postgres for the session's state, on the session's own connection,
// and waits for the answer. Nothing else may be owed. It reports false if the
// state could not be read.
func (a *asking) probe() bool {
	a.talk.BeginProbe()
	before := a.before()
	row, answered := a.askRow(a.probeQuery(before == nil, a.talk.NamesDoubtful()))
	if !answered {
		return false
	}
	state := probe.ParseAnswer(row, before)
	if base := a.known.Base(); state != nil && base != nil {
		state.Continue(base)
	}
	a.adopt(state)
	return state != nil
}

// before is the last state known, if the server that the connection leads to is
// still the same. A primary stays one, and of the incarnation that it has: whoever
// alters that without ending the connections is found out by the follower's look,
// and then the session is not of its incarnation any more. A standby may become a
// primary.
func (u *understanding) before() *probe.State {
	base := u.known.Base()
	if base == nil || base.Standby != "" || !u.sameServer() {
		return nil
	}
	return base
}

// probeQuery is the probe that finds all that counts now. A table may get row
// security the moment after: then the session is told to probe again.
func (u *understanding) probeQuery(server, names bool) []byte {
	return probe.Question{Server: server, Start: u.known.Base() == nil, Role: u.db.follower.State().Secured(), Names: names, Cursors: u.namesPortals}.With(u.db.keyed.all())
}

// refreshState probes, and says why the state is not known afterwards. The probe would end an
// unnamed statement, so it has to wait for the end of one that was too long to be kept,
// or that would mean something else if it were parsed again.
func (a *asking) refreshState() string {
	if reason := a.askable(); reason != "" {
		return reason
	}
	if a.pause.lasts() {
		return reasons.ProbeFailed
	}
	// The look that this read will need anyway runs while the probe does.
	a.db.follower.Wake()
	if !a.probe() {
		a.pause.begin()
		return reasons.ProbeFailed
	}
	a.pause = probePause{}
	return a.renewLocal()
}

// After a failed probe the session passes through for probeWaitMin, and after
// each further one twice as long, up to probeWaitMax: where Freshet is not
// installed, each is an error in Postgres' log.
const (
	probeWaitMin = time.Second
	probeWaitMax = time.Minute
)

// probePause is the wait after a failed probe; the zero value is none.
type probePause struct {
	wait  time.Duration
	until time.Time
}

// begin begins the wait after another failure.
func (p *probePause) begin() {
	p.wait = min(max(2*p.wait, probeWaitMin), probeWaitMax)
	p.until = time.Now().Add(p.wait)
}

// lasts reports whether no probe is to be tried yet.
func (p *probePause) lasts() bool { return time.Now().Before(p.until) }

// toldDemands is what was made last of the demands of a session.
type toldDemands struct {
	token     string // that reads was told of
	complaint string // that the client was warned with, about a demand that is not understood
}

// mayProbe reports whether a simple query can be put before the client's next message
// without its notice: it must not stand within a group or a transaction, which its error
// would fail, and takes Postgres' unnamed statement away.
func (u *understanding) mayProbe() bool {
	return !u.talk.MidGroup() && !u.inTransaction && u.statements.OutliveQuery()
}

// adopt takes over the result of a probe; nil leaves the state unknown.
func (a *asking) adopt(state *probe.State) {
	if state == nil {
		a.talk.FailProbe()
		return
	}
	a.noteParseTime(state)
	a.statements.EndDoubt()
	if a.talk.LoadedLibrary() {
		state.Refuse(reasons.Library)
	}
	a.known.Note(state)
	a.timeIdleness(state)
	a.rehearsed = rehearsals{}
	a.values.placed = nil
	a.adoptNames(state.Statements)
	d := &state.Demands
	a.reads.SetLevel(d.Level)
	if a.assumption.made && a.reads.Bounded() {
		// No look is demanded from now on that would find out.
		a.assumption.made = false
		a.statements.BeginEpoch()
	}
	a.reads.SetStaleness(d.Staleness)
	if token := d.Token(); token != a.told.token {
		// Once reached it stays reached, so the setting counts only when it is new.
		a.told.token = token
		a.reads.SetAfter(d.After)
	}
	complaint := d.Complaint
	if complaint == "" && state.Standby != "" && d.Level == fence.Strong {
		complaint = "freshet.consistency is strong, and this connection leads to a replica, which lags: connect to the primary"
	}
	if complaint != "" && complaint != a.told.complaint {
		a.out = append(a.out, protocol.Warning(complaint, "Until then the reads of this session go to Postgres.")...)
	}
	a.told.complaint = complaint
}
