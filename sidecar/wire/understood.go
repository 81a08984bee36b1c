package wire

import (
	"context"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// What the analysis understands of a statement that goes to Postgres spares two things:
// if nothing of the user's runs for it, the session's settings are what they were, and
// nobody need be asked for them behind it; and what it writes are rows of the tables that
// are known, so that entries of others go on being served.
//
// What was understood holds for the schema that the analysis saw. So it is relied on only
// while nothing else runs on the connection that may change one (see
// Conversation.Undisturbed), and what others change is found out in time:
//
//  1. an INSERT is known to run nothing of the user's;
//  2. another client gives the table a trigger that changes the search_path; its event is
//     not received yet;
//  3. the session executes its INSERT, and the trigger runs;
//  4. it reads: by the settings of before, it would be shown, and what it loads be kept as,
//     the answer of another table.
//
// So the session assumes (see assumption) until a look that began after the write was
// answered. That look brings the event of 2, and the generation of the verdicts moves
// before its head can be relied on. Forced by TestTriggerFromElsewhereIsFoundOut.
//
// Of the rows that such a trigger writes nobody can know before the event is received: they
// are seen as if another process had written them. Forced as far as the change was made
// through this sidecar, which waits for a look before it relies on a verdict again:
// TestTriggerMadeHereMarksItsTables.

// assumption is that statements of a session changed none of its settings, by what was
// known under a generation of the schema.
type assumption struct {
	made       bool
	generation uint64
	// changes is set if the client may have changed a setting since it was made.
	changes bool
}

// assume notes that a statement of which this was known goes to Postgres.
func (u *understanding) assume(generation uint64) {
	if a := u.assumption; a.made && a.generation != generation {
		u.assumedWrongly()
	}
	u.assumption = assumption{made: true, generation: generation, changes: u.assumption.made && u.assumption.changes}
}

// noteMayChange notes that something of the client's that may change a setting goes to
// Postgres.
func (u *understanding) noteMayChange() {
	u.assumption.changes = true
	u.statements.MayChange()
}

// assumedWrongly notes that a statement may have changed settings, of which that was not
// known: the session's state has to be asked for, and what Postgres has parsed since it
// may have read under others than those that were known. It has, though the settings are
// what they were again when they are asked for:
//
//  1. a trigger that was made elsewhere a moment ago sets array_nulls to off;
//  2. the session prepares `… WHERE a = '{NULL}'`, then sets array_nulls to on itself;
//  3. its state is asked for, and is what it was before 1;
//  4. the answer of the statement, of those with the word NULL, would be kept under on.
//
// So asking for the state ends no assumption. Forced by TestProbeEndsNoAssumption. Where
// the session has sent nothing like 2 meanwhile, and the state is found to be what it was,
// only a trigger that is followed by its opposite has had its statements read otherwise: these
// are doubted, and relied on again when Postgres has analysed them anew (see readAsNow).
// Otherwise a change of the schema at the wrong moment would cost a session all hits of what
// it has prepared, for as long as it lives. Forced by TestDoubtedStatementsHitAgain.
func (u *understanding) assumedWrongly() {
	u.talk.Soil()
	u.known.NoteChanged(true)
	if u.assumption.changes {
		u.statements.BeginEpoch()
	} else {
		u.statements.Doubt()
	}
}

// assumptionHolds ends the assumption, if there is one, where a look is known that began
// after all that the session was shown. It reports false if an assumption of this read was
// wrong: then the session's state has to be asked for.
func (u *understanding) assumptionHolds() bool {
	a := &u.assumption
	if a.made && a.generation != u.db.verdicts.Generation() {
		u.assumedWrongly()
	}
	a.made = false
	return u.known.Holds()
}

// dropOutdatedAssumption ends an assumption of another schema than that of now. What is
// loaded under it nobody could be served, and so nothing would end it.
func (u *understanding) dropOutdatedAssumption() {
	if a := &u.assumption; a.made && a.generation != u.db.verdicts.Generation() {
		u.assumedWrongly()
		a.made = false
	}
}

// assumptionProven is assumptionHolds where no look is known yet: it waits for one.
func (a *asking) assumptionProven() bool {
	return (!a.assumption.made || a.prove(nil)) && a.assumptionHolds()
}

// What such a session loads is kept at once, and nobody waits for it to become certain, who
// may never ask for it: it carries the assumption, and who finds it asks whether a look has
// found out by then (see sound). Only what other processes are to have is kept when it is
// certain.

// sound reports whether an entry is certain, whatever was assumed when it was loaded: a look
// is known that began after its load had ended, and what was assumed still held then.
//
//  1. a trigger was made elsewhere before the load; its event is not received yet;
//  2. a reader finds the generation of the verdicts as it was when the entry was loaded;
//  3. the event is received: the generation moves, and the head of the look is published;
//  4. the reader finds that a look has begun since, and serves the entry.
//
// So the look is asked for first. Forced by TestEntryOfAnAssumptionIsSoundBehindALook.
func (d *database) sound(entry *engine.Entry) bool {
	a := entry.Payload.(*answer.Answer)
	generation, assumed := a.Assumes()
	if !assumed {
		return true
	}
	looked := d.fence.LookBegan() >= entry.Ticket.Loaded()
	if d.afterLooked != nil {
		d.afterLooked()
	}
	if !looked || generation != d.verdicts.Generation() {
		return false
	}
	a.BeCertain()
	return true
}

// proveSound makes sure that it can be told whether an entry is sound, by waiting for a look
// if need be. It reports false if that could not be proven in time.
func (a *asking) proveSound(entry *engine.Entry) bool {
	generation, assumed := entry.Payload.(*answer.Answer).Assumes()
	if !assumed || generation != a.db.verdicts.Generation() {
		return true
	}
	return a.db.lookedSince(a.ctx, entry.Ticket.Loaded())
}

// lookedSince waits until a look is known that began at or after a moment. It reports false if
// that takes too long.
func (d *database) lookedSince(ctx context.Context, at fence.Instant) bool {
	var reader fence.Session
	reader.Received(at)
	return d.cache.Prove(ctx, nil, &reader)
}

// certainAssumption says whether what a session assumed is right, of which all was answered
// by moment at: once a look has found that out which began afterwards.
func (d *database) certainAssumption(generation uint64, at fence.Instant) func(fence.Instant) bool {
	return func(fence.Instant) bool {
		return d.lookedSince(d.background, at) && generation == d.verdicts.Generation()
	}
}

// understood finds out what the plan's statements may write, if that is known of all of
// them and nothing of the user's runs for any. Their wants have it then.
func (s *sending) understood() bool {
	p := &s.plan
	if p.reason != "" || len(p.wants) == 0 || s.talk.MidGroup() || s.state() == nil || s.state().Standby != "" {
		return false
	}
	if !s.db.follower.State().Reported() || !s.effectsKnown() {
		return false // a look may lack a change of definitions that no event reports
	}
	if !s.talk.Undisturbed() && !(s.asksBeforeWrite() && s.effectsKnown()) {
		return false
	}
	for i := range p.wants {
		if e := p.wants[i].effect; e.Analysed && !s.reads.Bounded() { // else it is asked for
			s.assume(e.Generation)
		}
	}
	return true
}

// effectsKnown gives the plan's wants their effects, by the last state known, and reports
// whether all have one. What is analysed for a state that is outdated may serve later.
func (s *sending) effectsKnown() bool {
	if s.state().Reason != "" {
		return false
	}
	known := true
	for i := range s.plan.wants {
		w := &s.plan.wants[i]
		w.effect = s.effectOfWant(w)
		known = known && w.effect != nil
	}
	return known
}

// doubtedMax is how many writes of a session that would be understood, if its state were
// known, go to Postgres before it is asked for: a session that never reads has nobody ask
// for it, and each of its writes would have every reader wait for a look.
const doubtedMax = 8

// asksBeforeWrite makes the session's state known before a write, once in a while.
func (a *asking) asksBeforeWrite() bool {
	if a.doubted++; a.doubted < doubtedMax || !a.talk.NothingOpen() {
		return false
	}
	a.doubted = 0
	return a.refreshState() == ""
}

// effectOfWant is what a want may write, nil if it may be anything. It has to be of the
// statement that Postgres knows under the name: see effectOfBound.
func (s *sending) effectOfWant(w *want) *shapes.Effect {
	switch {
	case w.describes:
		return shapes.NoEffect
	case !w.parsed && (!w.prepared.Accepted.Load() || s.talk.Owed() || s.talk.NamesDoubtful()):
		return nil
	}
	return s.effectKnown(w)
}

// effectKnown is what the statement of a want may write, nil if it may be anything. Nobody
// waits for that: until it is known it may be anything.
func (s *sending) effectKnown(w *want) *shapes.Effect {
	statement := w.prepared.Statement
	control := &statement.Control
	if control.Kind == block.SetLocal && s.changesAnswers(control) || s.values.opened && endsLocals(control) {
		return nil
	}
	if control.Kind != block.None {
		return shapes.NoEffect
	}
	if !analysis.MayHaveEffect(statement.SQL) {
		return nil
	}
	v := s.db.verdicts
	slot, verdict := s.knownVerdict(statement)
	switch {
	case slot == nil && s.sharesVerdict(statement):
		v.Ask(s.state(), statement.SQL, statement.ParamTypes)
		return nil
	case verdict == nil || !v.Current(slot):
		return nil
	}
	if !slot.TellsRows() {
		return slot.Effect()
	}
	params := analysis.Params{Literals: statement.Judged.Literals()}
	if !s.plan.simple {
		var ok bool
		s.room.empty()
		if params.Bound, ok = s.room.boundValues(w.bound); !ok {
			return slot.Effect()
		}
	}
	return slot.EffectOf(params)
}

// endsLocals reports whether a statement may end settings of a transaction that goes on.
func endsLocals(c *block.Control) bool { return c.Kind == block.RollbackTo || c.Chain }

// sharesVerdict reports whether the analysis of a statement may serve others: those of a
// client that writes its values into the texts, so that each is another, are not worth it.
func (s *sending) sharesVerdict(statement *statements.Statement) bool {
	if !s.plan.simple {
		return true
	}
	_, ok := analysis.NewTemplate(statement.SQL, s.state().StandardStrings())
	return ok
}
