package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A client whose reads are all answered from the cache is busy, but to Postgres
// its connection is idle, and idle_session_timeout would end it, or within a transaction
// idle_in_transaction_session_timeout. So once half of that time has passed, Postgres gets
// a Sync, which does nothing.

var syncMessage = protocol.AppendMessage(nil, 'S')

// keepAlive is called after an answer from the cache.
func (s *session) keepAlive() error {
	limit := s.state().IdleMax
	if s.inTransaction {
		limit = s.state().IdleInBlockMax
	}
	if limit == 0 {
		return nil
	}
	now := s.arrival()
	if s.upstreamAt == 0 {
		s.upstreamAt = now
	}
	if now < s.upstreamAt.Add(limit/2) {
		return nil
	}
	s.talk.Owe(conversation.Expectation{Kind: conversation.Sync, Hidden: true, Harmless: true})
	return s.sendUpstream(syncMessage)
}

// spoke notes that Postgres is sent something.
func (s *session) spoke() {
	if state := s.state(); state != nil && (state.IdleMax != 0 || state.IdleInBlockMax != 0) {
		s.upstreamAt = fence.Now()
	}
}
