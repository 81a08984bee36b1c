package wire

import "github.com/freshet/freshet/sidecar/internal/digest"

// meaning is what the text of a prepared statement was understood under. When it
// changes, Postgres analyses the text anew, and refuses the statement if its
// columns became others, since the client reads rows by the description that it
// has. So the first use after a change goes to Postgres, as it did at first.
type meaning struct {
	generation uint64        // counts the schema changes
	names      digest.Digest // of the role and the search path
}

// meaning returns what a text is understood under now, as far as the last probe
// tells; nil before the first.
func (s *session) meaning() *meaning {
	if s.state() == nil {
		return nil
	}
	now := meaning{s.server.verdicts.generation.Load(), s.state().Names}
	if s.meant == nil || *s.meant != now {
		fresh := now // allocated only here
		s.meant = &fresh
	}
	return s.meant
}

// means reports whether a statement is known to be what its text means now.
func (s *session) means(p *prepared) bool {
	then, now := p.meaning.Load(), s.meaning()
	return then != nil && now != nil && *then == *now
}

// holds reports whether all statements of the plan are what their texts mean:
// parsed in this very group, or accepted by Postgres under the present meaning.
func (s *session) holds() bool {
	for i := range s.plan.wants {
		if w := &s.plan.wants[i]; !w.parsed && !s.means(w.prepared) {
			return false
		}
	}
	return true
}

// certain returns meaning if Postgres will understand a message that is sent now
// under it for certain, and nil otherwise.
func (s *session) certain() *meaning {
	if !s.talk.certain() {
		return nil
	}
	return s.meaning()
}
