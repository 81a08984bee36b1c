package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
)

// storeCapture puts what was captured into the cache, if it is an answer. What is not yet
// certain is kept once it is.
func (s *Server) storeCapture(c *answer.Capture, loaded fence.Instant) {
	entry := c.Entry(s.cache, loaded)
	switch {
	case entry != nil && c.Certain != nil:
		s.keep(entry, c.Certain, loaded, c.Flight)
		c.Flight = nil
		return // the flight has its room in c, which is not recycled
	case entry != nil:
		s.cache.Store(entry)
	default:
		if key := c.Outgrown(); key != nil {
			s.cache.NoteTooLarge(key)
		}
	}
	c.Release(entry)
	c.Recycle()
}
