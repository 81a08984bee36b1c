package dashboard

import (
	"fmt"
	"strings"
)

// Verdict is what is said first of a sidecar: the first of its states that holds. top and service
// managers are told it, and the page shows it as it is sent.
type Verdict struct {
	// State is "fresh" if all is well, "gone" if queries fail or were answered wrongly, and
	// "behind" otherwise.
	State string `json:"state"`
	// Text is a few words. Alarm says what follows and Command what to run, unless all is well.
	Text    string `json:"text"`
	Alarm   string `json:"alarm"`
	Command string `json:"command"`
	// Raw is the text of an error, or the statement that was answered wrongly.
	Raw string `json:"raw"`
}

// shown is what the page is sent besides the fields of a reading.
type shown struct {
	Verdict
	// InTime is set if the promise can be kept from the cache.
	InTime bool `json:"in_time"`
}

// shownOn is what a page is sent. A library has no command that examines or starts it.
func (s *Stats) shownOn(library bool) shown {
	v := s.Verdict()
	if library && (v.Command == doctorCommand || v.Command == serveCommand) {
		v.Command = ""
	}
	return shown{v, s.isFresh()}
}

// Verdict judges a reading.
func (s *Stats) Verdict() Verdict {
	if v, found := s.verdictOnReads(); found {
		return v
	}
	behind := func(text, alarm, command string) Verdict {
		return Verdict{State: "behind", Text: text, Alarm: alarm, Command: command}
	}
	switch {
	case s.SwitchedOff:
		return behind("Switched off", "Every statement goes to Postgres, as somebody has asked for.", "freshet bypass off")
	case s.WatchedTables == 0:
		return behind("Watching nothing", "No table is watched, so every read goes to Postgres.", "freshet install --watch 'public.*'")
	case s.Redis.State == "refusing":
		return behind("Degraded: Redis refuses", "Reads go on without it, and what one process loads, others load again. It says: "+s.Redis.Refusal, doctorCommand)
	case s.Redis.State == "down":
		return behind("Degraded: Redis does not answer", "Reads go on without it, and what one process loads, others load again.", doctorCommand)
	case s.WatchProblems > 0:
		return s.verdictOnTables()
	case s.Config.Problem != "":
		return behind("Fresh, with an older configuration", "What was read again is not in force: "+s.Config.Problem, "freshet config check")
	case s.FollowerResting:
		return Verdict{State: "fresh", Text: "Resting: nobody reads"}
	}
	return Verdict{State: "fresh", Text: "Fresh"}
}

// doctorCommand examines what is wrong, serveCommand starts a sidecar.
const (
	doctorCommand = "freshet doctor"
	serveCommand  = "freshet serve"
)

// verdictOnReads finds out whether something keeps all reads from the cache, or worse.
func (s *Stats) verdictOnReads() (v Verdict, found bool) {
	says := func(state, text, alarm, command, raw string) (Verdict, bool) {
		return Verdict{state, text, alarm, command, raw}, true
	}
	behind := func(text, alarm string) (Verdict, bool) { return says("behind", text, alarm, doctorCommand, "") }
	switch {
	case !s.Listening:
		return behind("Not listening", asSentence(s.NotReadyReason))
	case s.Ending:
		return says("behind", "About to end", asSentence(s.NotReadyReason)+" Who is connected is served until the drain is over; nobody new should come here. To serve again, start it anew, or its service.", serveCommand, "")
	case !s.isFresh() && strings.Contains(s.FollowerProblem, "connect to Postgres"):
		return says("gone", "Postgres does not answer", "Queries fail: nothing is answered from the cache until Postgres is back, and what is sent to it fails.", doctorCommand, s.FollowerProblem)
	case s.Verify.Results["stale"] > 0:
		return says("gone", "Stale answers were found", fmt.Sprintf("%d of the compared answers were older than promised, proven. Please report it; what they depended on was purged.", s.Verify.Results["stale"]), "freshet stats", s.Verify.LastStale.words())
	case s.FollowerAgeSeconds == nil && s.FollowerProblem == "":
		return behind("Warming up: reads go to Postgres", "No look at the outbox has completed yet: that takes a moment after the start, and longer if Postgres is busy or nothing is installed.")
	case s.PoolingProblem != "":
		return behind("Clients share servers: reads go to Postgres", asSentence(s.PoolingProblem))
	case s.isFresh() && s.InstallProblem != "":
		return says("behind", "Nothing is cached: install again", asSentence(s.InstallProblem), "freshet install --watch 'public.*'", "")
	case !s.isFresh() || !s.Ready:
		if s.NotReadyReason == "" {
			return behind("Late: reads go to Postgres", "The follower is late, so reads go to Postgres.")
		}
		return behind("Late: reads go to Postgres", asSentence(s.NotReadyReason))
	}
	return v, false
}

func (s *Stats) verdictOnTables() Verdict {
	text, first := fmt.Sprintf("%d problems with tables", s.WatchProblems), ""
	if s.WatchProblems == 1 {
		text = "1 problem with tables"
	}
	if len(s.Problems) > 0 {
		first = s.Problems[0]
	}
	return Verdict{State: "behind", Text: text, Alarm: "Fresh, but not everything is answered from the cache: " + first, Command: doctorCommand}
}

// isFresh reports whether the promise can be kept from the cache.
func (s *Stats) isFresh() bool {
	return s.FollowerAgeSeconds != nil && (s.FollowerResting || *s.FollowerAgeSeconds <= s.StalenessSeconds)
}

// words name what was answered wrongly, nothing if that is not known.
func (a *StaleAnswer) words() string {
	if a == nil {
		return ""
	}
	return a.Statement + " (" + strings.Join(a.Tables, ", ") + ")"
}

func asSentence(text string) string {
	if text == "" {
		return ""
	}
	first := []rune(text)[:1]
	return strings.ToUpper(string(first)) + text[len(string(first)):] + "."
}
