package dashboard

import (
	"fmt"
	"strings"
	"time"
)

// lookAgeMax is how old the last completed look may be for /readyz, unless the
// staleness bound is larger. It is larger than the usual bound, because a
// sidecar that is late by a moment answers from Postgres and is still of use:
// taking it out of service for that would only make clients reconnect.
const lookAgeMax = 5 * time.Second

// restAgeMax is the same of a follower that rests: it looks every ten seconds.
const restAgeMax = 30 * time.Second

// JudgeReadiness fills in Ready and NotReadyReason.
func (s *Stats) JudgeReadiness() {
	s.NotReadyReason = NotReady(s)
	s.Ready = s.NotReadyReason == ""
}

// NotReady says why /readyz answers 503: why clients should not be sent here. It is
// empty when they may be.
func NotReady(s *Stats) string {
	if s.Ending {
		return "the sidecar was told to end, and will accept nobody any more in a moment"
	}
	if !s.Listening {
		return "the socket for clients is not open"
	}
	if s.PoolingProblem != "" {
		return s.PoolingProblem
	}
	// Who was ready stays so: installing for the next version must not take a fleet of this
	// one out of service, whose reads Postgres answers meanwhile.
	if s.InstallProblem != "" && s.NeverInstalled {
		return s.InstallProblem
	}
	because := ""
	if s.FollowerProblem != "" {
		because = "; the last problem was: " + s.FollowerProblem
	}
	if s.FollowerAgeSeconds == nil {
		return "no look at the outbox has completed yet, so every read goes to Postgres" + because
	}
	ageMax := lookAgeMax
	if s.FollowerResting {
		ageMax = restAgeMax
	}
	if *s.FollowerAgeSeconds > max(ageMax.Seconds(), s.StalenessSeconds) {
		return fmt.Sprintf("the last completed look at the outbox began %.0f seconds ago, so every read goes to Postgres%s", *s.FollowerAgeSeconds, because)
	}
	return ""
}

// verbose says of each thing that readiness depends on how it is, and names what is
// worse than it should be without keeping clients away: a line each, that begins with
// [ok], [not ready] or [problem].
func verbose(s *Stats) string {
	var lines []string
	for _, c := range readiness(s) {
		lines = append(lines, "["+c.State+"] "+c.Text)
	}
	return strings.Join(lines, "\n")
}

// readyCheck is one thing that readiness depends on, or that is worse than it should be.
type readyCheck struct {
	// State is "ok", "not ready" or "problem".
	State string `json:"state"`
	Text  string `json:"text"`
}

// readiness lists these things.
func readiness(s *Stats) (checks []readyCheck) {
	add := func(state, text string) { checks = append(checks, readyCheck{state, text}) }
	if s.Listening {
		add("ok", "clients can connect to "+s.Socket)
	}
	switch {
	case s.NotReadyReason != "":
		add("not ready", s.NotReadyReason)
	case s.FollowerResting:
		add("ok", "nobody has read for a while: looks at the outbox are made by and by only, and the next read waits for one")
	case s.FollowerAgeSeconds != nil:
		add("ok", fmt.Sprintf("the last completed look at the outbox began %.3f seconds ago; the bound is %g s", *s.FollowerAgeSeconds, s.StalenessSeconds))
	}
	if s.InstallProblem != "" && s.NotReadyReason == "" {
		add("problem", s.InstallProblem)
	}
	if s.WatchedTables == 0 {
		add("problem", "no table is watched: every read goes to Postgres; see freshet install --watch")
	} else {
		add("ok", fmt.Sprintf("%d tables are watched", s.WatchedTables))
	}
	for _, problem := range s.Problems {
		add("problem", problem)
	}
	if n := s.WatchProblems - len(s.Problems); n > 0 {
		add("problem", fmt.Sprintf("and %d more", n))
	}
	switch s.Redis.State {
	case RedisOff:
	case RedisDown:
		add("problem", "Redis does not answer: what one sidecar loads, others load again")
	case RedisRefusing:
		add("problem", "Redis refuses what it is asked for: "+s.Redis.Refusal)
	default:
		add("ok", "Redis is "+string(s.Redis.State))
	}
	return checks
}
