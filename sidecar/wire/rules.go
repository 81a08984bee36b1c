package wire

import (
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/rules"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// SetRules changes what rules say of statements, nil for nothing. Each read that begins
// from now on goes by them, also where an answer was kept before:
//
//  1. an answer of a table is kept, under the rules of then or none;
//  2. SetRules says that the table's answers are never kept, and returns;
//  3. a session finds the answer in memory and would serve it, without a look at what its
//     statement reads.
//
// So an answer carries the terms that it was judged by, and whose they are. Where those are
// not of the rules in force it is no hit, and whoever knows its statement judges it anew
// (permit). Forced by TestRulesHoldForEntriesKeptBefore.
func (s *Server) SetRules(set *rules.Set) {
	s.rules.Store(set)
	s.rulesSet.Add(1)
}

// judgements counts what changes the reason why a statement is not cacheable: the schema, and
// the rules.
func (d *database) judgements() uint64 { return d.verdicts.Generation() + d.rulesSet.Load() }

// termsOf are the terms of a shape whose verdict is known.
func (d *database) termsOf(slot *shapes.Slot) *rules.Judged { return slot.Terms(d.rules.Load()) }

// forbidden is the reason if a rule says that no answer of a shape is kept, whose verdict is
// known.
func (d *database) forbidden(slot *shapes.Slot) (reason string) {
	if d.rules.Load() == nil {
		return ""
	}
	switch terms := d.termsOf(slot); {
	case terms.Distrusted:
		return reasons.Distrusted
	case terms.Never:
		return reasons.Ruled
	}
	return ""
}

// permits reports whether no rule speaks against an entry that is served to a read which
// began at a moment.
func (d *database) permits(entry *engine.Entry, at fence.Instant) bool {
	set, a := d.rules.Load(), entry.Payload.(*answer.Answer)
	if set == nil {
		return !a.ByRule
	}
	terms := a.Terms.Load()
	return terms.Of(set) && d.within(entry, terms, at)
}

// within reports whether an entry is within its terms for a read that began at a moment.
func (d *database) within(entry *engine.Entry, terms *rules.Judged, at fence.Instant) bool {
	switch {
	case terms.Never:
		return false
	case terms.TTL > 0 && entry.Age(at) > terms.TTL:
		return false
	case entry.Payload.(*answer.Answer).ByRule && entry.Age(at) > terms.OutOfDate:
		return false
	default:
		return terms.Staleness == 0 || d.fence.Fresh(at, terms.Staleness)
	}
}

// permit has an entry, which may be nil, judged by the rules that the request was.
func (r *request) permit(entry *engine.Entry) {
	if entry != nil {
		entry.Payload.(*answer.Answer).Terms.Store(r.terms)
	}
}

// permitted judges an entry by the rules that the request was, and reports whether they let
// it be served, waiting for a look where that is what they want. Where a look was wanted,
// the entry must not have ended by it; who shares a load needs none otherwise, or each write
// to a hot row would have all who wait for it load for themselves.
func (a *asking) permitted(r *request, entry *engine.Entry) bool {
	r.permit(entry)
	return a.proveFor(r) && a.db.within(entry, r.terms, a.arrival()) && (r.terms.Staleness == 0 || a.db.cache.Admits(entry))
}

// proveFor makes sure that the head is as new as the rules want it for a request. It
// reports false if that could not be proven in time.
func (a *asking) proveFor(r *request) bool {
	if r.terms.Staleness == 0 || a.db.fence.Fresh(a.arrival(), r.terms.Staleness) {
		return true
	}
	stricter := a.reads.Derive()
	stricter.SetStaleness(r.terms.Staleness)
	return a.db.cache.Prove(a.ctx, nil, stricter)
}
