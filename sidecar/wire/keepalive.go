package wire

import (
	"strings"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// A client whose reads are all answered from the cache is busy, but to Postgres
// its connection is idle, and idle_session_timeout would end it. So once half of
// that time has passed, Postgres gets a Sync, which does nothing.

var syncMessage = protocol.AppendMessage(nil, 'S')

// keepAlive is called after an answer from the cache.
func (s *session) keepAlive() error {
	limit := s.state.idleMax
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
	s.talk.owe(expect{kind: expectSync, hidden: true, harmless: true})
	return s.sendUpstream(syncMessage)
}

// spoke notes that Postgres is sent something.
func (s *session) spoke() {
	if s.state != nil && s.state.idleMax != 0 {
		s.upstreamAt = fence.Now()
	}
}

// parseIdleMax reads a duration as Postgres prints it: 0, 500ms, 30s, 5min, 2h, 1d.
// What it cannot read is taken for no limit.
func parseIdleMax(text string) time.Duration {
	unit := time.Duration(1)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text, unit = days+"h", 24
	}
	d, err := time.ParseDuration(strings.Replace(text, "min", "m", 1))
	if err != nil {
		return 0
	}
	return d * unit
}
