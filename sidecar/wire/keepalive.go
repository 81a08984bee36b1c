package wire

import (
	"time"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A client whose reads are all answered from the cache is busy, but to Postgres
// its connection is idle, and idle_session_timeout would end it, or within a transaction
// idle_in_transaction_session_timeout. So once half of that time has passed, Postgres gets
// a Sync, which does nothing.

var syncMessage = protocol.AppendMessage(nil, 'S')

// keepAlive is called after an answer from the cache, with the time after which Postgres ends
// what is idle, 0 for never.
func (l *line) keepAlive(limit time.Duration) error {
	if limit == 0 {
		return nil
	}
	now := l.arrival()
	if l.upstreamAt == 0 {
		l.upstreamAt = now
	}
	if now < l.upstreamAt.Add(limit/2) {
		return nil
	}
	l.talk.Owe(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Harmless: true})
	return l.sendUpstream(syncMessage)
}

// timeIdleness has it noted from now on when Postgres is sent something, if it ends what is idle
// in a state of the session's.
func (l *line) timeIdleness(state *probe.State) {
	l.timed = l.timed || state != nil && (state.IdleMax != 0 || state.IdleInBlockMax != 0)
}

// idleMax is how long Postgres leaves the session idle, 0 for as long as any.
func (u *understanding) idleMax() time.Duration {
	if u.inTransaction {
		return u.state().IdleInBlockMax
	}
	return u.state().IdleMax
}
