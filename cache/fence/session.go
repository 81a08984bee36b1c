package fence

import "sync/atomic"

// Session is a reader to whom the database must never go back in time: it sees
// its own writes, and nothing older than what it has seen. The zero value has
// seen nothing. Its methods may be called concurrently.
type Session struct{ need atomic.Int64 }

// Received notes that the session was shown, at moment at or before it, a state
// of the database that no head is known to include: an answer that came from
// Postgres, the acknowledgement of a write, an entry just loaded.
func (s *Session) Received(at Instant) {
	for {
		old := s.need.Load()
		if int64(at) <= old || s.need.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// Need returns the moment at or after which a completed look must have begun
// before the session may be served from a cache.
func (s *Session) Need() Instant { return Instant(s.need.Load()) }
