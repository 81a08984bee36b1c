package wire

import (
	"context"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// request is a wish for one answer, whose key is s.key.
type request struct {
	slot *shapes.Slot
	// tags are what the answer depends on; made by judge, in room that the next unit uses again.
	tags []fence.Tag
	// params are the values of the answer, and joins is set if the rows that its
	// joins lead to can be looked up with them.
	params analysis.Params
	joins  bool
	// prepared is set if Postgres may have a plan already for the statement.
	prepared bool
	// life is how long the answer may be kept, 0 for as long as any; consent says who accepts
	// that it is out of date for that long.
	life    time.Duration
	consent consent
	// terms are those that rules put on the answer.
	terms *rules.Judged
}

// obtained is how a request ended: with an entry, with a capture for the answer
// that Postgres is now to give, or with the reason for neither.
type obtained struct {
	entry   *engine.Entry
	outcome Outcome
	capture *answer.Capture
	reason  string
	// interrupted is set if the client asked to cancel while waiting.
	interrupted bool
}

// keyOf makes s.key that of a want.
func (s *deciding) keyOf(w *want) {
	state := &s.state().ID
	if w.settled {
		state = &w.state
	}
	if s.plan.simple {
		s.key = answer.AppendQueryKey(s.key[:0], state, w.bound)
		return
	}
	key := answer.Key{
		State: state, Form: w.form(), Statement: &w.prepared.Statement.ID, Told: s.plan.toldBefore(w), Bound: w.bound, Limit: w.limit,
	}
	s.key = key.AppendTo(s.key[:0])
}

// keyOfQuery makes s.key that of a Query with this text.
func (s *deciding) keyOfQuery(text []byte) {
	s.key = answer.AppendQueryKey(s.key[:0], &s.state().ID, text)
}

// lookup finds the entry of s.key in this process's memory, if it may be served.
func (s *deciding) lookup() *engine.Entry {
	c := s.db.cache
	s.hash = c.Hash(s.key)
	entry := c.Find(s.key, s.hash)
	s.absent = entry == nil
	if entry == nil || !s.sameServer() {
		return nil
	}
	s.beginRead() // not before: where there is nothing to serve, nobody needs the time
	if !s.db.sound(entry) || !s.db.permits(entry, s.arrival()) || entry.Payload.(*answer.Answer).ByRule && !s.mayAcceptByRule() {
		c.NoteUnserved(engine.Miss)
		return nil
	}
	if c.ServeFound(entry, s.hash, s.arrival(), &s.reads) != engine.Hit || !s.assumptionHolds() {
		return nil
	}
	return entry
}

// peek returns what lies under s.key in this process's memory, whether or not it may be
// served.
func (s *deciding) peek() *engine.Entry {
	s.hash = s.db.cache.Hash(s.key)
	return s.db.cache.Peek(s.key, s.hash)
}

// keySettings makes the part of a want's key that its settings are. It reports false if a verdict
// has to be asked for first, or a value.
func (s *sending) keySettings(w *want) bool {
	slot, verdict := s.knownVerdict(w.prepared.Statement)
	if verdict == nil || !verdict.Cacheable {
		return false
	}
	return s.noteKeyed(w, settingsOf(w, slot))
}

// noteKeyed has the values of settings in a want's key. It reports false if one is not known.
func (u *understanding) noteKeyed(w *want, names []string) (ok bool) {
	w.settled = len(names) > 0
	if w.settled {
		w.state, ok = u.stateWith(names)
		return ok
	}
	return true
}

// lookupAll finds what a unit wants in this process's memory, all or nothing, if nobody
// need be asked first. For a Query handleQuery has looked, though not for what depends on
// settings of the application's own.
func (s *deciding) lookupAll() bool {
	p := &s.plan
	someKeyed := len(s.db.keyed.all()) > 0
	if p.simple && !someKeyed || !s.servable() || !s.mayNamePortals() {
		return false
	}
	for i := range p.wants {
		if w := &p.wants[i]; !w.parsed && !(s.means(w.prepared) && s.statements.ReadsNow(w.prepared)) {
			return false
		}
	}
	for i := range p.wants {
		w := &p.wants[i]
		if someKeyed && !w.describes && !s.keySettings(w) || p.simple && !w.settled {
			return false
		}
		s.keyOf(w)
		if entry := s.lookup(); entry == nil || !p.takes(&s.statements, w, entry) {
			return false
		}
		p.found++
	}
	return true
}

// sameServer reports whether this session's connection reached the incarnation
// that the follower looks at. After a failover the old primary may live on, and
// sessions and follower may be on different sides.
func (u *understanding) sameServer() bool {
	if standby := u.state().Standby; standby != "" {
		r := u.db.replica
		return r != nil && r.Serves(standby)
	}
	head := u.db.fence.Head()
	return head != nil && head.Incarnation == u.state().Incarnation
}

// prove makes sure that this session may be served an entry, or if it is nil any
// at all: that the head is as new as the staleness bound, the session's own past,
// and what was written through this sidecar demand. It reports false if that could
// not be proven in time.
func (a *asking) prove(entry *engine.Entry) bool {
	return a.db.cache.Prove(a.ctx, entry, &a.reads)
}

// obtainOne finds the answer of the one want, or begins the load that does.
func (s *deciding) obtainOne(d *decision) {
	d.harmless = true
	p := &s.plan
	w := &p.wants[0]
	p.toldOf = nil
	s.keyOf(w)
	var there *engine.Entry
	if !s.absent || s.db.cache.Hash(s.key) != s.hash { // else lookup found nothing a moment ago
		there = s.peek()
	}
	w.missed = s.db.cache.Missed(there, s.hash)
	got := s.obtain(&p.requests[0], there)
	s.noteObtained(&got, p.asked, s.db, s.arrival())
	w.capture = got.capture
	d.reason, d.interrupted = got.reason, got.interrupted
	switch {
	case got.entry == nil:
	case s.plan.takes(&s.statements, w, got.entry):
		d.answered, d.outcome = true, got.outcome
	case w.whole && got.entry.Payload.(*answer.Answer).Suspended():
		d.reason = reasons.RowLimit
	default:
		d.reason = reasons.Revalidated
	}
}

// obtainMany finds the answers of several wants: all from the tiers, or the first ones from
// there, or all from Postgres. It waits for nobody's load: two sessions that each led a load
// that the other waits for would wait for ever.
func (s *deciding) obtainMany(d *decision) {
	d.harmless = true
	if !s.behind && s.mayFindAll() && s.prove(nil) {
		if d.outcome, d.answered = s.fetchAll(); d.answered {
			return
		}
		if s.maySplit() {
			d.found = s.plan.found
			return
		}
	}
	s.captureAll()
}

// captureAll takes the labels of the plan's loads, and prepares their captures.
func (s *deciding) captureAll() {
	p := &s.plan
	for i := range p.wants {
		s.keyOf(&p.wants[i])
		there := s.peek()
		p.wants[i].missed = s.db.cache.Missed(there, s.hash)
		if start, ok := s.label(); ok {
			p.wants[i].capture = s.beginCapture(&p.requests[i], start, answer.NewCapture())
		}
	}
}

// mayFindAll reports whether all that is wanted may be in memory or in Redis. Where one answer
// is in neither, nothing need be proven.
func (s *deciding) mayFindAll() bool {
	c := s.db.cache
	s.plan.toldOf = nil
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		s.keyOf(w)
		if there := s.peek(); !s.db.mayServe(there) {
			// What it tells of its statement, the keys of the others depend on.
			return c.AsksRemote(s.plan.requests[i].slot.Shape, s.key)
		} else if !s.plan.takes(&s.statements, w, there) {
			return false
		}
	}
	return true
}

// mayServe reports whether a look may prove an entry good: it is not known to have ended.
// nil is none.
func (d *database) mayServe(there *engine.Entry) bool {
	return there != nil && d.cache.Admits(there)
}

// fetchAll finds all that is wanted in memory or in Redis, all or nothing, and
// says where the farthest was found.
func (s *deciding) fetchAll() (how Outcome, ok bool) {
	c := s.db.cache
	s.plan.toldOf, s.plan.found = nil, 0
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		s.keyOf(w)
		s.plan.requests[i].permit(s.peek())
		entry := s.lookup()
		if entry == nil {
			r := &s.plan.requests[i]
			found, tier := c.Fetch(s.ctx, s.key, s.hash, r.slot.Shape, answer.Decode)
			got := s.served(r, found, tier)
			entry, how = got.entry, max(how, got.outcome)
		}
		if entry == nil || !s.plan.takes(&s.statements, w, entry) {
			return how, false
		}
		s.plan.found++
	}
	return how, true
}

// obtain looks for the answer of s.key in memory, where there was an entry or nil a moment
// ago, in loads under way and in Redis, and otherwise begins a load.
func (s *deciding) obtain(r *request, there *engine.Entry) obtained {
	c := s.db.cache
	if s.db.mayServe(there) {
		r.permit(there)
		// A look may prove it good, unless it is known to have ended. Where there is none,
		// what follows asks for proof of what it finds itself, and a load needs none.
		if !s.prove(there) || !s.proveFor(r) || !s.proveSound(there) {
			return obtained{reason: reasons.Unproven}
		}
		if entry := s.lookup(); entry != nil {
			return obtained{entry: entry, outcome: HitL1}
		}
	}
	loading := answer.NewCapture()
	flight := loading.Join(c, s.key, s.hash)
	ctx, done := s.ctx, func() {}
	if flight.Waits() || c.AsksRemote(r.slot.Shape, s.key) {
		ctx, done = s.cancels.waiting(s.ctx)
	}
	got := s.share(ctx, flight, r)
	got.interrupted = ctx.Err() != nil && s.ctx.Err() == nil
	done()
	if got.entry == nil && !got.interrupted {
		if got = s.load(r, loading); got.capture != nil {
			return got
		}
	}
	loading.Release(got.entry)
	loading.Recycle()
	return got
}

// load takes the label of a load, and prepares its capture; or says why there is none.
func (s *deciding) load(r *request, loading *answer.Capture) obtained {
	start, labelled := s.label()
	if labelled {
		if c := s.beginCapture(r, start, loading); c != nil {
			s.sendLookup(r, c)
			s.talk.Time(&r.slot.Loading)
			return obtained{capture: c}
		}
	}
	return obtained{reason: reasons.SchemaMoving}
}

// share takes the answer of s.key from another client's load, from Redis, or
// from another process that is loading it, if it may be served to this session.
func (s *deciding) share(ctx context.Context, flight *engine.Flight, r *request) obtained {
	if entry, ok := flight.Wait(ctx, &s.reads); ok && s.sameServer() && s.assumptionProven() && s.proveSound(entry) && s.db.sound(entry) && s.permitted(r, entry) {
		return obtained{entry: entry, outcome: Coalesced}
	}
	entry, tier := flight.Fetch(ctx, r.slot.Shape, answer.Decode)
	return s.served(r, entry, tier)
}

// served is what became of looking in the tiers.
func (s *deciding) served(r *request, entry *engine.Entry, tier engine.Tier) obtained {
	if entry == nil {
		return obtained{}
	}
	now := fence.Now() // what is written while proving, this read need not show
	switch {
	case !s.prove(entry) || !s.permitted(r, entry) || !s.proveSound(entry) || !s.db.sound(entry) || !s.sameServer() || s.db.cache.Serve(entry, now, &s.reads) != engine.Hit,
		!s.assumptionHolds():
		return obtained{}
	case tier == engine.Shared:
		return obtained{entry: entry, outcome: HitL2}
	default:
		return obtained{entry: entry, outcome: HitL1}
	}
}

// beginCapture prepares loading for a load that has its label and whose query is about to be
// sent. It returns nil, and leaves loading as it is, if what would be captured could not be
// stored.
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
// older than the label. Forced by TestLoadsAreCapturedUnderTheirLabels.
func (s *deciding) beginCapture(r *request, start engine.Start, loading *answer.Capture) *answer.Capture {
	c := s.db.cache
	if !s.talk.Clean() || !s.db.verdicts.Current(r.slot) || s.plannedBefore(r) ||
		!start.Label.Lower.Includes(s.db.follower.State().Since()) || !s.db.follower.KnowsRole(s.state().Role) {
		return nil
	}
	s.db.missed(r.slot)
	loading.Key, loading.Tags = append(loading.Key[:0], s.key...), append(loading.Tags[:0], r.tags...)
	loading.Start, loading.Shape, loading.SizeMax, loading.Terms = start, r.slot.Shape, c.EntryMax(), r.terms
	loading.Life, loading.Consent, loading.ByRule = r.life, r.consent != noConsent, r.consent == byRule
	if r.terms.EntryMax > 0 {
		loading.SizeMax = min(loading.SizeMax, r.terms.EntryMax)
	}
	switch {
	case start.Label.Replica:
		loading.Certain = s.db.certainReplica(start)
	case s.assumption.made && c.AsksRemote(r.slot.Shape, s.key):
		loading.Certain = s.db.certainAssumption(s.assumption.generation, fence.Now())
	case s.assumption.made:
		loading.Assumed, loading.Generation = true, s.assumption.generation
	}
	return loading
}

// label takes the label of a load on this session's connection.
func (u *understanding) label() (engine.Start, bool) {
	if u.state().Standby == "" {
		start, ok := u.db.cache.Begin()
		return start, ok && start.Label.Incarnation == u.state().Incarnation
	}
	if u.db.replica == nil {
		return engine.Start{}, false
	}
	start, ok := u.db.cache.StartReplica(u.db.replica)
	return start, ok && u.sameServer()
}
