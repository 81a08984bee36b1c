package wire

import (
	"time"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// A statement may accept, by a comment, an answer that is out of date for a stated time,
// where nothing but the clock or tables that are not watched stands in the way of a fresh
// one. Such an answer is out of every promise, so nobody else may see it:
//
//   - Its key holds the statement's text, and with it the comment: who asks for it has
//     accepted it.
//   - It stays in this process, where it is called what it is: it is counted apart, and no
//     verifier compares it with Postgres.
//   - What is watched, rights and definitions end it as they end every other.
//
// (TestConsent)

// withConsent is the verdict that holds for a statement, how long its answer may be kept (0
// for as long as any), and whether it is out of date for so long by the statement's consent.
func (s *session) withConsent(statement *statements.Statement, v *analysis.Verdict) (verdict *analysis.Verdict, life time.Duration, byConsent bool) {
	life = statements.Consent(statement.SQL, s.state().StandardStrings())
	if life == 0 || v == nil || v.Cacheable || v.Consent == nil {
		return v, life, false
	}
	return v.Consent, life, true
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
