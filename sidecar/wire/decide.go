package wire

import (
	"sync/atomic"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// deciding is a session that can say what becomes of a plan: it looks for the answers in the
// tiers, has them proven, and begins the loads of those that lie nowhere. It answers nothing, and
// sends no unit.
//
//   - Its ladder stands once (see ladder).
//   - An entry that it finds may be served at this moment; a capture that it begins has its label.
type deciding struct {
	sending
	// key is that of the want that is looked up, and hash the key's, set by lookup and peek.
	// absent is set by lookup if nothing lies there, and reset for the next unit.
	key    []byte
	hash   uint64
	absent bool
	// decided is what decide has said last. It lies here since a hit of a group that copies it from
	// function to function takes a tenth longer.
	decided decision
	// cancels is for whoever passes a cancel request.
	cancels cancels
}

// decision is what becomes of a plan: it is answered, or it goes to Postgres, for a reason
// or with the captures that its wants hold.
type decision struct {
	// reason, unless empty, says why the unit goes to Postgres and no answer is kept.
	reason string
	// harmless is set if the unit changes nothing where it goes to Postgres.
	harmless bool
	// answered is set if every want has its entry, outcome says where the farthest was found.
	answered bool
	outcome  Outcome
	// found is how many of a group's wants have their entry, where not all have and the first
	// are answered by themselves: then nothing else is decided.
	found int
	// interrupted is set if the client asked to cancel while waiting.
	interrupted bool
}

// decide says what becomes of the plan of a unit, until it is asked again. obstacle is the answer to
// the first question about it.
func (s *deciding) decide(unit []byte, obstacle string) *decision {
	d := &s.decided
	*d = decision{harmless: s.plan.runsNothing()}
	s.behind = obstacle == reasons.Pipelined && s.mayCaptureBehind()
	s.ladder(unit, obstacle, d)
	if s.behind && d.reason != "" {
		*d = decision{reason: obstacle, harmless: s.plan.runsNothing()} // whatever stopped it, the unanswered reads are in its way
	}
	s.behind = false
	return d
}

// ladder asks of the plan of a unit one question behind the other. The first that stops the
// plan is the reason to pass the unit through. What costs little is asked early: from
// understand on, Postgres may be asked, and somebody waited for. (checkNames asks too, where
// SQL may have ended statements: without the answer the plan itself is not certain.)
//
// The questions are the same behind reads that are unanswered (see pipeline.go); but there
// nothing is served, and what it would take a question to Postgres to know stops the plan.
func (s *deciding) ladder(unit []byte, obstacle string, d *decision) {
	p := &s.plan
	atHead := !s.behind
	switch {
	case atHead && d.stops(obstacle): // something is owed, has failed, or goes on: pipelined, failed, in_transaction, …
	case d.stops(p.reason): // its messages ask for what nobody keeps: named_portal, unknown_statement, malformed, …
	case d.stops(s.checkNames(unit)): // SQL has ended a statement that it uses
	case p.closesOnly && s.portalsFree() && !s.assumption.made: // it closes portals that only the client has
		d.answered, d.outcome = true, HitL1
	case len(p.wants) == 0: // it prepares statements or closes them: there is nothing to decide
		d.harmless = true
	case d.stops(s.db.offReason()): // an operator has switched the cache off, or sessions have no server of their own
	case d.stops(s.refusedBefore(p)): // one of its statements is known not to be cacheable
	case atHead && s.lookupAll(): // all of its answers lie in memory
		d.answered, d.outcome = true, HitL1
	case atHead && s.maySplit(): // the first of them do: what is behind is decided by itself
		d.found, d.outcome = p.found, HitL1
	case d.stopsIf(p.noticed(), reasons.Noticed): // a hit could not repeat the notice
	case d.stops(s.refused(p)): // its text, or its verdict, says that it is not cacheable: not_select, switched_off_by_comment, …
	case atHead && d.stopsReadIf(s.spares(&s.understanding, p), reasons.Spared): // Postgres is sooner than the questions below
	case d.stops(s.understand()): // its session's settings, server or follower forbid it
	case d.stops(s.askPortals()): // Postgres may have a portal of that name
	case d.stops(s.readAsNow()): // other settings may have read its constants
	case d.stops(s.judge()): // the analysis, or a value, says that it is not cacheable
	case d.stopsReadIf(!s.holds(p), reasons.Revalidated): // Postgres is to say whether it still gives these columns
	case d.stops(s.renewPlans()): // Postgres would go by plans that are older than the verdict
	case s.behind && d.stopsIf(s.mayServeAll(), reasons.Pipelined): // to load them again would gain nothing
	case len(p.wants) > 1 || p.part || s.behind: // all of its answers lie in the tiers, or all are loaded
		s.obtainMany(d)
	default: // its answer lies in a tier, is being loaded, or is to be: else unproven, schema_moving
		s.obtainOne(d)
	}
}

// stops reports whether the answer to a question, a reason, ends the list.
func (d *decision) stops(reason string) bool {
	d.reason = reason
	return reason != ""
}

// stopsIf is stops for a question with one reason.
func (d *decision) stopsIf(yes bool, reason string) bool {
	if yes {
		d.reason = reason
	}
	return yes
}

// stopsReadIf is stopsIf for what is known to be a read, which changes nothing.
func (d *decision) stopsReadIf(yes bool, reason string) bool {
	d.harmless = d.harmless || yes
	return d.stopsIf(yes, reason)
}

// serve decides what becomes of the plan of a unit, and does that.
func (s *session) serve(unit []byte, obstacle string) error {
	return s.carryOut(unit, s.decide(unit, obstacle))
}

// carryOut does with a unit what was decided of its plan.
func (s *session) carryOut(unit []byte, d *decision) error {
	switch {
	case d.interrupted:
		return s.answerCancelled()
	case d.answered:
		return s.answer(unit, d.outcome)
	case d.found > 0:
		return s.answerFirst(unit, d.found, d.outcome)
	case d.reason != "":
		counted := s.plan.countedFor(d.reason)
		passed := s.server.counters.bypass(counted, s.plan.executions)
		s.measure(Bypass, counted, &passed.spent, s.plan.notePassed())
		s.noteWithheld(&s.understanding, &s.plan, d.reason)
	default:
		s.countMisses()
		s.measure(Miss, "")
	}
	return s.forward(unit, d.harmless)
}

// notePassed counts the plan's statements that pass through by their shapes, as far as those are
// known, and returns where the time is to be added that Postgres takes: nil if they are of several.
func (p *plan) notePassed() (spent *atomic.Int64) {
	n := 0
	for i := range p.wants {
		w := &p.wants[i]
		if w.describes || w.prepared == nil || w.prepared.Statement == nil {
			continue
		}
		n++
		if slot := w.prepared.Statement.Judged.Slot(); slot != nil {
			slot.Passed.Add(1)
			spent = &slot.PassedFor
		}
	}
	if n > 1 {
		return nil
	}
	return spent
}

// countedFor is the reason that the plan's statements are counted for which pass through for
// this one: what is no read passes through for that, whatever else is in its way.
func (p *plan) countedFor(reason string) string {
	if reason == reasons.InTransaction || reason == reasons.Failed {
		return reason
	}
	executes := false
	for i := range p.wants {
		w := &p.wants[i]
		if w.describes {
			continue
		}
		if w.prepared == nil || w.prepared.Statement == nil || analysis.BeginsLikeRead(w.prepared.Statement.SQL) {
			return reason
		}
		executes = true
	}
	if executes {
		return string(analysis.ReasonNotSelect)
	}
	return reason
}

// countMisses counts the plan's statements as misses, each with its cause.
func (s *session) countMisses() {
	s.server.counters.queries[Miss].Add(uint64(s.plan.executions))
	for i := range s.plan.wants {
		if w := &s.plan.wants[i]; !w.describes {
			s.server.counters.misses[w.missed].Add(1)
			if slot := s.plan.requests[i].slot; slot != nil {
				s.server.cache.NoteMiss(slot.Shape, w.missed)
			}
		}
	}
}

// answer answers a unit from the cache; each want has its entry.
func (s *session) answer(unit []byte, how Outcome) error {
	if s.plan.simple {
		return s.answerQuery(s.plan.wants[0].entry, how)
	}
	return s.answerGroup(unit, how)
}

// forward sends a unit upstream, with the captures that the plan's wants hold.
func (s *sending) forward(unit []byte, harmless bool) error {
	s.plan.understood = !harmless && s.understood()
	s.noteSettings()
	if !s.plan.simple {
		return s.forwardGroup(unit, harmless)
	}
	w := &s.plan.wants[0]
	loading := w.capture
	w.capture = nil // the next hits leave the plan, which is not to hold the answer for long
	if s.plan.understood {
		return s.forwardQuery(unit, passage{harmless: !s.reads.Bounded(), writes: w.effect}, nil)
	}
	return s.forwardQuery(unit, passage{harmless: harmless}, loading)
}

// noticed reports whether a notice came with one of the plan's statements.
func (p *plan) noticed() bool {
	for i := range p.wants {
		if p.wants[i].prepared.Noticed.Load() {
			return true
		}
	}
	return false
}

// hopeless says why a text will not be cached, as far as that is known without
// asking anybody. It judges by the last known state, which may be outdated: to
// pass through is never wrong.
func (u *understanding) hopeless(statement *statements.Statement) string {
	if !analysis.BeginsLikeRead(statement.SQL) {
		return string(analysis.ReasonNotSelect)
	}
	if reason := statements.SwitchedOff(statement.SQL); reason != "" {
		return reason
	}
	if u.state() != nil {
		slot, verdict := u.knownVerdict(statement)
		if verdict != nil && verdict.Cacheable {
			if reason := u.db.forbidden(slot); reason != "" {
				return reason
			}
		}
		if verdict != nil {
			asked, _, _ := u.withConsent(statement, slot, verdict)
			return string(asked.Reason)
		}
	}
	standard := u.state().StandardStrings()
	return string(analysis.Prescreen(statement.SQL, standard))
}

// knownVerdict is verdicts.Known for a statement, which remembers the answer.
func (u *understanding) knownVerdict(statement *statements.Statement) (*shapes.Slot, *analysis.Verdict) {
	return u.db.verdicts.Recall(&statement.Judged, u.state(), statement.SQL, statement.ParamTypes)
}

// findVerdict is verdicts.Find for a statement, if it does not remember the answer. Behind reads
// that are unanswered nobody waits for the analysis.
func (s *deciding) findVerdict(statement *statements.Statement) (*shapes.Slot, *analysis.Verdict, []analysis.Literal) {
	if slot, verdict := s.knownVerdict(statement); verdict != nil && verdict.Cacheable || s.behind {
		return slot, verdict, statement.Judged.Literals()
	}
	return s.db.verdicts.Find(s.ctx, s.state(), statement.SQL, statement.ParamTypes)
}

// refused is hopeless for a plan's statements, which remember the answer.
func (u *understanding) refused(p *plan) string {
	generation := u.db.judgements()
	for i := range p.wants {
		statement := p.wants[i].prepared.Statement
		reason := u.hopeless(statement)
		if reason == "" {
			continue
		}
		if u.state() != nil && reason != reasons.Ruled && reason != reasons.Distrusted && !u.db.rules.Load().Accepts() { // it may depend on what the session demands
			statement.Refuse(u.state().ID, generation, reason)
		}
		return reason
	}
	return ""
}

// refusedBefore is what a plan's statements remember of refused.
func (u *understanding) refusedBefore(p *plan) string {
	if u.state() == nil {
		return ""
	}
	generation := u.db.judgements()
	for i := range p.wants {
		if reason := p.wants[i].prepared.Statement.Refused(u.state().ID, generation); reason != "" {
			return reason
		}
	}
	return ""
}

// understand makes the session's state known, and says why it cannot be served
// otherwise.
func (s *deciding) understand() string {
	if s.behind && (s.assumption.made || s.known.Local()) {
		return reasons.Pipelined // which take a look, or a transaction's end
	}
	s.dropOutdatedAssumption()
	s.plan.asked = s.assumption.made
	if !s.known.BaseHolds() {
		s.plan.asked = true
		if reason := s.refreshState(); reason != "" {
			return reason
		}
	}
	if reason := s.renewLocal(); reason != "" {
		return reason
	}
	switch {
	case s.state().Reason != "":
		return s.state().Reason
	case s.db.fence.Head() == nil:
		return reasons.NotFollowing
	case !s.sameServer() && s.state().Standby != "":
		return reasons.ReplicaBehind
	case !s.sameServer():
		return reasons.Incarnation
	case s.behind && s.state().Standby != "":
		return reasons.Pipelined // what a replica has loaded has to be confirmed
	}
	if !s.behind {
		s.beginRead()
	}
	return ""
}

// judge makes the requests for the plan's wants, or says why one is not cacheable.
func (s *deciding) judge() string {
	p := &s.plan
	s.room.empty()
	for i := range p.wants {
		r, reason := s.requestOf(&p.wants[i])
		if reason != "" {
			return reason
		}
		p.requests = append(p.requests, r)
	}
	return ""
}

// requestOf is the request for a want.
func (s *deciding) requestOf(w *want) (r request, reason string) {
	statement := w.prepared.Statement
	slot, verdict, literals := s.findVerdict(statement)
	verdict, life, by := s.withConsent(statement, slot, verdict)
	if reason := s.objection(slot, verdict); reason != "" {
		return request{}, reason
	}
	if reason := s.db.forbidden(slot); reason != "" {
		return request{}, reason
	}
	if s.behind && (by != noConsent || len(verdict.Settings) > 0) {
		return request{}, reasons.Pipelined
	}
	terms := s.db.termsOf(slot)
	if w.describes {
		return request{slot: slot, tags: verdict.SchemaTags(), life: life, consent: by, terms: terms}, ""
	}
	if by != noConsent {
		literals = nil // its tags are those of whole tables, whatever the values
	}
	if reason := s.learnSettings(verdict.Settings); reason != "" {
		return request{}, reason
	}
	if !s.noteKeyed(w, verdict.Settings) {
		return request{}, reasons.Settings
	}
	params, ok := analysis.Params{Literals: literals}, true
	if !s.plan.simple {
		params.Bound, ok = s.room.boundValues(w.bound)
	}
	tags, told := s.room.fenceTags(verdict, params)
	if !ok || !told {
		return request{}, reasons.Value
	}
	return request{slot: slot, tags: tags, params: params, joins: verdict.Joins(), prepared: !w.parsed, life: life, consent: by, terms: terms}, ""
}

// objection says why a statement with this verdict is not cacheable.
func (u *understanding) objection(slot *shapes.Slot, verdict *analysis.Verdict) string {
	switch {
	case verdict == nil && slot != nil && !slot.Pending():
		return reasons.AnalysisFailed
	case verdict == nil:
		return reasons.AnalysisPending
	case !verdict.Cacheable:
		return string(verdict.Reason)
	case verdict.Secured() && u.state().Standby != "":
		// Roles are analysed as they are on the primary; a replica may not know yet, and
		// would go on by the plans that it makes until then.
		return string(analysis.ReasonRowSecurity)
	}
	return ""
}
