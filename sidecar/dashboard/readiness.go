package dashboard

import (
	"fmt"
	"time"
)

// lookAgeMax is how old the last completed look may be for /readyz, unless the
// staleness bound is larger. It is larger than the usual bound, because a
// sidecar that is late by a moment answers from Postgres and is still of use:
// taking it out of service for that would only make clients reconnect.
const lookAgeMax = 5 * time.Second

// NotReady says why /readyz answers 503: why clients should not be sent here. It is
// empty when they may be.
func NotReady(s *Stats) string {
	if !s.Listening {
		return "the socket for clients is not open"
	}
	because := ""
	if s.FollowerProblem != "" {
		because = "; the last problem was: " + s.FollowerProblem
	}
	if s.FollowerAgeSeconds == nil {
		return "no look at the outbox has completed yet, so every read goes to Postgres" + because
	}
	if *s.FollowerAgeSeconds > max(lookAgeMax.Seconds(), s.StalenessSeconds) {
		return fmt.Sprintf("the last completed look at the outbox began %.0f seconds ago, so every read goes to Postgres%s", *s.FollowerAgeSeconds, because)
	}
	return ""
}
