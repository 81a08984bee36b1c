package wire

import (
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// meaning returns what a text is understood under now, as far as the last probe
// tells; nil before the first.
func (u *understanding) meaning() *statements.Meaning {
	if u.state() == nil || u.known.Lacks() {
		return nil
	}
	now := statements.Meaning{Generation: u.db.verdicts.Generation(), Names: u.state().Names}
	if u.meant == nil || *u.meant != now {
		fresh := now // allocated only here
		u.meant = &fresh
	}
	return u.meant
}

// means reports whether a statement is known to be what its text means now.
func (u *understanding) means(p *statements.Prepared) bool { return p.Means(u.meaning()) }

// holds reports whether all statements of a plan are what their texts mean:
// parsed in this very group, or accepted by Postgres under the present meaning.
func (u *understanding) holds(p *plan) bool {
	for i := range p.wants {
		if w := &p.wants[i]; !w.parsed && !u.means(w.prepared) {
			return false
		}
	}
	return true
}

// certain returns meaning if Postgres will understand a message that is sent now
// under it for certain, and nil otherwise. What is unanswered changes nothing of that where it
// is known to leave settings and definitions as they are: else a client that sends reads
// behind reads, or whom a Sync of the sidecar's keeps alive, would lose the hits of what it
// has prepared with a date in it. Settings of a transaction are the exception: its end may be
// among what is unanswered. Forced by TestStatementPreparedBehindAnUnansweredReadHits.
func (u *understanding) certain() *statements.Meaning {
	if !u.talk.Certain() && (u.known.Local() || !u.talk.Undisturbed()) {
		return nil
	}
	return u.meaning()
}

// noteParseTime begins a new epoch if what parsing reads has changed.
func (u *understanding) noteParseTime(found *probe.State) {
	if base := u.known.Base(); base == nil || base.ParseTime != found.ParseTime {
		u.statements.BeginEpoch()
	}
}

// readsAllNow reports whether Postgres reads the constants of all statements of the plan
// that were parsed before as it would read them now.
func (p *plan) readsAllNow(known *statements.Set) bool {
	return p.allBefore(known, (*statements.Set).ReadsNow)
}

// mayReadAllNow is readsAllNow, but for doubt.
func (p *plan) mayReadAllNow(known *statements.Set) bool {
	return p.allBefore(known, (*statements.Set).MayReadNow)
}

// allBefore reports whether something is so of all statements of the plan that were parsed
// before.
func (p *plan) allBefore(known *statements.Set, is func(*statements.Set, *statements.Prepared) bool) bool {
	for i := range p.wants {
		if w := &p.wants[i]; !w.parsed && !is(known, w.prepared) {
			return false
		}
	}
	return true
}

// beCertain asks for the session's state before a statement is parsed that will be
// relied on only if it is known under which settings. The plan may have changed then.
func (s *sending) beCertain(unit []byte) {
	if s.plan.keepsSettings && !s.known.Holds() && s.refreshState() == "" {
		s.planGroup(unit)
	}
}
