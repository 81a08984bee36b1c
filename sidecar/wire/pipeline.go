package wire

// A client that does not wait for answers sends reads behind reads. The first that lies nowhere
// goes to Postgres, and all behind it has to, since answers keep their order. But what is
// unanswered are reads, which leave everything as it was: so what is known of the session holds
// for those behind them, and they are captured if they lie nowhere either. Otherwise a pipeline
// of cold reads would be warm only after as many rounds as it has reads. (TestColdPipelineIsCaptured)
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

// mayCaptureBehind reports whether the plan is of reads, as far as it tells, that come behind
// others which are unanswered. Its ladder says the rest.
func (s *deciding) mayCaptureBehind() bool {
	p := &s.plan
	return len(p.wants) > 0 && !p.controls && s.talk.OwesReadsAlone() && !s.block.Held
}

// mayServeAll reports whether all that is wanted lies in memory, and none of it is known to have
// ended.
func (s *deciding) mayServeAll() bool {
	for i := range s.plan.wants {
		s.keyOf(&s.plan.wants[i])
		if !s.db.mayServe(s.peek()) {
			return false
		}
	}
	return true
}
