package wire

import "github.com/freshet/freshet/sidecar/internal/block"

// A client that does not wait for answers sends reads behind reads. The first that lies nowhere
// goes to Postgres, and all behind it has to, since answers keep their order. But what is
// unanswered are reads, which leave everything as it was: so what is known of the session holds
// for those behind them, and they are captured if they lie nowhere either. Otherwise a pipeline
// of cold reads would be warm only after as many rounds as it has reads. (TestColdPipeline)
//
// A change of the settings that nobody asked for, a reload of the configuration, is no
// exception:
//
//  1. a read is sent, and another one behind it under the state that is known;
//  2. the configuration is read again: Postgres answers the second under another state;
//  3. the follower notices, soils the session and publishes a head.
//
// The label of the second was taken before 3, and ends with the reload, as it does where
// nothing is unanswered.

// capturesBehind begins the captures of the plan's wants behind reads that are unanswered. It
// reports false if somebody would have to be asked, or all of them may be known: to load these
// again would gain nothing.
func (s *session) capturesBehind() bool {
	p := &s.plan
	if p.reason != "" || len(p.wants) == 0 || p.controls || p.namesPortals || p.simple && block.ParseControl(p.query.Statement.SQL).Kind != block.None {
		return false
	}
	if !s.talk.OwesReadsAlone() || s.block.Held || p.named && s.talk.NamesDoubtful() || s.assumption.made ||
		!s.known.BaseHolds() || s.known.Local() || s.state().Reason != "" || s.state().Standby != "" || !s.sameServer() {
		return false
	}
	if s.server.offReason() != "" || s.refusedBefore() != "" || p.noticed() || s.refused() != "" ||
		!p.readsAllNow(&s.statements) || !s.holds() || s.dependsOnSettings() || s.judge() != "" {
		return false
	}
	known := true
	for i := range p.wants {
		if s.plannedBefore(&p.requests[i]) || p.requests[i].consent != noConsent {
			return false
		}
		s.keyOf(&p.wants[i])
		known = known && s.mayServe(s.peek())
	}
	if known {
		return false
	}
	s.captureAll()
	return true
}

// dependsOnSettings reports whether an answer of the plan depends on settings of the
// application's own, or nobody knows yet.
func (s *session) dependsOnSettings() bool {
	for i := range s.plan.wants {
		if _, verdict := s.knownVerdict(s.plan.wants[i].prepared.Statement); verdict == nil || len(verdict.Settings) > 0 {
			return true
		}
	}
	return false
}
