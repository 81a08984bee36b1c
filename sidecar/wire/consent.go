package wire

import (
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// A statement may accept, by a comment, an answer that is out of date for a stated time,
// where nothing but the clock or tables that are not watched stands in the way of a fresh
// one; or a rule of the configuration accepts it for the statement's shape, or for each of
// its tables. Such an answer is out of every promise, so nobody else may see it:
//
//   - Its key holds the statement's text, and with it the comment: who asks for it has
//     accepted it.
//   - One that a rule alone accepts is served while the rule is in force, and no older than
//     it says; and to no session that demands strong consistency or a token, whatever the
//     rule says.
//   - It stays in this process, where it is called what it is: it is counted apart, and no
//     verifier compares it with Postgres.
//   - What is watched, rights and definitions end it as they end every other.
//
// (TestCommentAcceptsAnOutdatedAnswer, TestRuleAcceptsAnOutdatedAnswer)

// consent is whose word it is that an answer may be out of date.
type consent byte

const (
	noConsent consent = iota
	byComment         // the statement's own
	byRule            // the operator's alone
)

// withConsent is the verdict that holds for a statement, how long its answer may be kept (0
// for as long as any), and who accepts that it is out of date for so long.
func (u *understanding) withConsent(statement *statements.Statement, slot *shapes.Slot, v *analysis.Verdict) (verdict *analysis.Verdict, life time.Duration, by consent) {
	life = statements.Consent(statement.SQL, u.state().StandardStrings())
	if v == nil || v.Cacheable || v.Consent == nil {
		return v, life, noConsent
	}
	if life > 0 {
		return v.Consent, life, byComment
	}
	if u.mayAcceptByRule() {
		if life = u.db.termsOf(slot).OutOfDate; life > 0 {
			return v.Consent, life, byRule
		}
	}
	return v, 0, noConsent
}

// mayAcceptByRule reports whether a rule may accept for the session what is out of date. What
// the session demands is asked before it is answered, where that is not known.
func (u *understanding) mayAcceptByRule() bool {
	demands := &u.state().Demands
	return u.db.rules.Load().Accepts() && (!u.known.Holds() || demands.Level != fence.Strong && demands.After == nil)
}

// counted is the outcome that a hit counts as.
func counted(a *answer.Answer, how Outcome) Outcome {
	if a.Consented {
		return Consented
	}
	return how
}

// consented reports whether one of the plan's entries is there by consent.
func (p *plan) consented() bool {
	for i := range p.wants {
		if a, ok := p.wants[i].entry.Payload.(*answer.Answer); ok && a.Consented {
			return true
		}
	}
	return false
}
