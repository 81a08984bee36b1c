package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
)

// storeCapture puts what was captured into the cache, if it is an answer. What was loaded
// on a replica has to be confirmed first.
func (s *session) storeCapture(c *answer.Capture, loaded fence.Instant) {
	entry := c.Entry(s.server.cache, loaded)
	if entry != nil && c.Start.Label.Replica {
		s.server.confirmReplica(entry, c.Start, loaded, c.Flight)
		c.Flight = nil
		return
	}
	if entry != nil {
		s.server.cache.Store(entry)
	}
	c.Release(entry)
}
