package wire

import (
	"context"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// request is a wish for one answer, whose key is s.key.
type request struct {
	slot *verdictSlot
	tags []fence.Tag
	// params are the values of the answer, and joins is set if the rows that its
	// joins lead to can be looked up with them.
	params analysis.Params
	joins  bool
	// prepared is set if Postgres may have a plan already for the statement.
	prepared bool
}

// obtained is how a request ended: with an entry, with a capture for the answer
// that Postgres is now to give, or with the reason for neither.
type obtained struct {
	entry   *engine.Entry
	outcome Outcome
	capture *capture
	reason  string
	// interrupted is set if the client asked to cancel while waiting.
	interrupted bool
}

// judgement is what is known of a text.
type judgement struct {
	slot     *verdictSlot
	verdict  *analysis.Verdict
	literals []analysis.Literal
	reason   string // why it is not cacheable; empty if it is
}

// lookup finds the entry of s.key in this process's memory, if it may be served.
func (s *session) lookup() *engine.Entry {
	c := s.server.cache
	hash := c.Hash(s.key)
	entry := c.Find(s.key, hash)
	if entry == nil || !s.sameServer() {
		return nil
	}
	s.beginRead() // not before: where there is nothing to serve, nobody needs the time
	if c.ServeFound(entry, hash, s.arrival(), &s.reads) != engine.Hit {
		return nil
	}
	return entry
}

// sameServer reports whether this session's connection reached the incarnation
// that the follower looks at. After a failover the old primary may live on, and
// sessions and follower may be on different sides.
func (s *session) sameServer() bool {
	if s.state.standby != "" {
		r := s.server.replica
		return r != nil && r.Serves(s.state.standby)
	}
	head := s.server.fence.Head()
	return head != nil && head.Incarnation == s.state.incarnation
}

// hopeless says why a text will not be cached, as far as that is known without
// asking anybody. It judges by the last known state, which may be outdated: to
// pass through is never wrong.
func (s *session) hopeless(sql string, paramTypes []uint32) string {
	if !analysis.BeginsLikeRead(sql) {
		return string(analysis.ReasonNotSelect)
	}
	if s.state != nil {
		switch _, verdict := s.server.verdicts.known(s.state, sql, paramTypes); {
		case verdict != nil && verdict.Cacheable:
			return ""
		case verdict != nil:
			return string(verdict.Reason)
		}
	}
	standard := s.state == nil || s.state.settings["standard_conforming_strings"] != "off"
	return string(analysis.Prescreen(sql, standard))
}

// refused is hopeless for a prepared statement, which remembers the answer.
func (s *session) refused(statement *statement) string {
	if reason := s.refusedBefore(statement); reason != "" {
		return reason
	}
	generation := s.server.verdicts.generation.Load()
	reason := s.hopeless(statement.sql, statement.paramTypes)
	if reason != "" && s.state != nil {
		statement.refusal = refusal{s.state.id, generation, reason}
	}
	return reason
}

// refusedBefore is what refused remembers.
func (s *session) refusedBefore(statement *statement) string {
	r := &statement.refusal
	if r.reason != "" && s.state != nil && r.state == s.state.id && r.generation == s.server.verdicts.generation.Load() {
		return r.reason
	}
	return ""
}

// understand makes the session's state known, and says why it cannot be served
// otherwise.
func (s *session) understand() string {
	if !s.stateHolds() {
		if reason := s.learn(); reason != "" {
			return reason
		}
	}
	switch {
	case s.state.reason != "":
		return s.state.reason
	case s.server.fence.Head() == nil:
		return reasons.NotFollowing
	case !s.sameServer() && s.state.standby != "":
		return reasons.ReplicaBehind
	case !s.sameServer():
		return reasons.Incarnation
	}
	s.beginRead()
	return ""
}

// judge finds out whether a text is cacheable.
func (s *session) judge(sql string, paramTypes []uint32) judgement {
	slot, verdict, literals := s.server.verdicts.find(s.ctx, s.state, sql, paramTypes)
	switch {
	case verdict == nil && slot != nil && !slot.pending():
		return judgement{reason: reasons.AnalysisFailed}
	case verdict == nil:
		return judgement{reason: reasons.AnalysisPending}
	case !verdict.Cacheable:
		return judgement{reason: string(verdict.Reason)}
	case len(verdict.Exempt) > 0 && s.state.standby != "":
		// Roles are analysed as they are on the primary; a replica may not know yet, and
		// would go on by the plans that it makes until then.
		return judgement{reason: string(analysis.ReasonRowSecurity)}
	}
	return judgement{slot: slot, verdict: verdict, literals: literals}
}

// prove makes sure that this session may be served an entry, or if it is nil any
// at all: that the head is as new as the staleness bound, the session's own past,
// and what was written through this sidecar demand. It reports false if that could
// not be proven in time.
func (s *session) prove(entry *engine.Entry) bool {
	return s.server.cache.Prove(s.ctx, entry, &s.reads)
}

// obtain looks for the answer of s.key in memory, in loads under way and in
// Redis, and otherwise begins a load.
func (s *session) obtain(r request) obtained {
	c := s.server.cache
	if entry := c.Peek(s.key, c.Hash(s.key)); entry != nil {
		// A look may prove it good. Where there is none, what follows asks for proof
		// of what it finds itself, and a load needs none.
		if !s.prove(entry) {
			return obtained{reason: reasons.Unproven}
		}
		if entry := s.lookup(); entry != nil {
			return obtained{entry: entry, outcome: HitL1}
		}
	}
	flight := s.server.cache.Join(s.key)
	ctx, done := s.cancels.waiting(s.ctx)
	got := s.share(ctx, flight, r.slot.shape)
	got.interrupted = ctx.Err() != nil && s.ctx.Err() == nil
	done()
	if got.entry != nil || got.interrupted {
		flight.Finish(got.entry)
		return got
	}
	start, labelled := s.label()
	if labelled {
		if s.lookUp(&r) {
			flight.Finish(nil)
			return obtained{interrupted: true}
		}
		if c := s.beginCapture(r, start, flight); c != nil {
			s.talk.timing = &r.slot.loading
			return obtained{capture: c}
		}
	}
	flight.Finish(nil)
	return obtained{reason: reasons.SchemaMoving}
}

// share takes the answer of s.key from another client's load, from Redis, or
// from another process that is loading it, if it may be served to this session.
func (s *session) share(ctx context.Context, flight *engine.Flight, shape uint64) obtained {
	if entry, ok := flight.Wait(ctx, &s.reads); ok && s.sameServer() {
		return obtained{entry: entry, outcome: Coalesced}
	}
	entry, tier := flight.Fetch(ctx, shape, decodeAnswer)
	return s.served(entry, tier)
}

// served is what became of looking in the tiers.
func (s *session) served(entry *engine.Entry, tier engine.Tier) obtained {
	now := fence.Now() // what is written while proving, this read need not show
	switch {
	case entry == nil || !s.prove(entry) || !s.sameServer() || s.server.cache.Serve(entry, now, &s.reads) != engine.Hit:
		return obtained{}
	case tier == engine.Shared:
		return obtained{entry: entry, outcome: HitL2}
	default:
		return obtained{entry: entry, outcome: HitL1}
	}
}

// beginCapture prepares a load that has its label and whose query is about to be
// sent. It returns nil if what would be captured could not be stored.
//
// The interleaving it defends against:
//
//  1. the verdict of the statement is found;
//  2. a schema change that makes it wrong commits, and the follower receives it;
//  3. the label is taken: it includes the change;
//  4. the entry would be stored with the tags of the old schema, and nothing
//     would ever forbid it.
//
// The follower drops the verdicts before it publishes a head that includes the
// change, so a verdict that is still current after the label was taken is no
// older than the label. Forced by TestSchemaChangeBetweenVerdictAndLabel.
func (s *session) beginCapture(r request, start engine.Start, flight *engine.Flight) *capture {
	c := s.server.cache
	if !s.talk.clean() || !s.server.verdicts.current(r.slot) || s.plannedBefore(&r) ||
		!start.Label.Lower.Includes(s.server.follower.State().Since()) {
		return nil
	}
	s.server.missed(r.slot)
	loading := &capture{
		key: append([]byte(nil), s.key...), start: start, tags: r.tags, flight: flight, sizeMax: c.EntryMax(),
	}
	if start.Label.Replica {
		loading.confirming = s.server
	}
	return loading
}

// label takes the label of a load on this session's connection.
func (s *session) label() (engine.Start, bool) {
	if s.state.standby == "" {
		start, ok := s.server.cache.Begin()
		return start, ok && start.Label.Incarnation == s.state.incarnation
	}
	if s.server.replica == nil {
		return engine.Start{}, false
	}
	start, ok := s.server.cache.StartReplica(s.server.replica)
	return start, ok && s.sameServer()
}
