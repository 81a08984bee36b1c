package wire

import (
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// Postgres decides about row security when it analyses a statement, and keeps what
// it decided with the plan of a prepared one. It decides anew when the session's
// role changes or the table does; but not when the same role gets or loses
// BYPASSRLS, superuser or the owner's privileges:
//
//  1. a session prepares a read of a table with row security, which applies to its
//     role;
//  2. the role is given BYPASSRLS; that is noticed, and what was analysed dropped:
//     from now on the answer may be kept for the role;
//  3. the session executes its statement, and Postgres shows it the few rows that it
//     showed before;
//  4. these would be answered to every session of the role, which see all rows.
//
// So an answer of a statement that reads tables with row security is kept only if
// Postgres has analysed it since the schema or the roles changed last. Forced by
// TestAnswerOfAPlanFromBeforeBypassRLSIsNotKept.
//
// To have one analysed anew is to have all analysed anew, each at its next use, under the
// settings of then:
//
//  1. a session prepares `… WHERE d = '01/02/2024'` under DateStyle MDY;
//  2. the schema changes, and the session reads a table with row security: plans are
//     discarded;
//  3. it sets DateStyle to DMY, and executes the statement of 1: Postgres looks for the 1st
//     of February, and would have looked for the 2nd of January.
//
// So Postgres is shown such statements at once, and where one of them was read under other
// settings than those of now, plans stay, and the read passes through. Forced by
// TestDiscardedPlansKeepTheirSettings.

// discardPlans has Postgres analyse anew what was prepared. The row is there so
// that success can be told.
var discardPlans = protocol.AppendMessage(nil, 'Q', []byte("DISCARD PLANS; SELECT 1\x00"))

// secured reports whether the answer is of tables with row security, be it that it does not
// apply to whom it is read as.
func (r *request) secured() bool {
	v := r.slot.Verdict()
	return v != nil && v.Secured()
}

// renewPlans makes Postgres plan by what is known now, if one of the plan's requests
// needs that. It says why it cannot.
func (s *sending) renewPlans() string {
	for i := range s.plan.requests {
		if !s.plannedBefore(&s.plan.requests[i]) {
			continue
		}
		return s.discardPlans()
	}
	return ""
}

// readAsNow makes Postgres analyse anew what the plan executes and is doubted (see
// assumedWrongly). It says why Postgres may read the constants of one of its statements as
// it would not read them now.
func (s *sending) readAsNow() string {
	switch {
	case s.plan.readsAllNow(&s.statements):
		return ""
	case !s.plan.mayReadAllNow(&s.statements):
		return reasons.ParsedUnder
	}
	if reason := s.discardPlans(); reason != "" {
		return reason
	}
	if !s.plan.readsAllNow(&s.statements) {
		return reasons.ParsedUnder
	}
	return ""
}

// discardPlans makes Postgres analyse anew all that was prepared, where nothing of that comes
// to mean something else. It says why it cannot.
func (a *asking) discardPlans() string {
	if !a.statements.MayDiscardPlans() {
		return reasons.ParsedUnder
	}
	if reason := a.askable(); reason != "" {
		return reason
	}
	m, generation := a.certain(), a.db.verdicts.Generation()
	if row, answered := a.askRow(discardPlans); !answered || row == nil {
		return reasons.ProbeFailed
	}
	a.plannedSince = generation
	if a.sendUses(a.statements.TakeDiscarded(), m) != nil {
		return reasons.ProbeFailed
	}
	return ""
}
