package fence

import (
	"sync/atomic"
	"time"
)

// Level is what a session demands of the answers it is given.
type Level uint32

const (
	// OwnWrites: bounded staleness, and never older than what the session has been
	// shown or was told it has written.
	OwnWrites Level = iota
	// Bounded staleness alone. Two reads may go back in time, within the bound.
	Bounded
	// Strong reads also reflect every commit acknowledged anywhere before the read
	// began: they are linearizable.
	Strong
)

// Session is a reader with demands of its own. The zero value is at level
// OwnWrites, with the staleness of its cache, and has seen nothing. Its methods
// may be called concurrently.
type Session struct {
	// of, unless nil, is the session whose past this one shares.
	of        *Session
	need      atomic.Int64
	level     atomic.Uint32
	staleness atomic.Int64
	after     atomic.Pointer[Head]
	habit     habit
}

// Derive returns a session that shares the past of s, whatever either is shown or
// writes from now on, and has demands of its own, which at first are those of s.
func (s *Session) Derive() *Session {
	derived := &Session{of: s.past()}
	derived.level.Store(s.level.Load())
	derived.staleness.Store(s.staleness.Load())
	derived.after.Store(s.after.Load())
	return derived
}

// past is the session that remembers what s was shown.
func (s *Session) past() *Session {
	if s.of != nil {
		return s.of
	}
	return s
}

// SetLevel changes what the session demands from now on.
func (s *Session) SetLevel(l Level) { s.level.Store(uint32(l)) }

// Accepts reports whether the state that ticket t shows is one that the session
// may be shown, however fresh: what a replica showed is for bounded staleness
// alone. A nil session demands no more than that.
func (s *Session) Accepts(t *Ticket) bool { return !t.label.Replica || s.Bounded() }

// Bounded reports whether the session demands bounded staleness alone, as a nil
// session does.
func (s *Session) Bounded() bool { return s == nil || Level(s.level.Load()) == Bounded }

// SetStaleness replaces the staleness bound of the cache for this session. 0
// means that of the cache.
func (s *Session) SetStaleness(d time.Duration) { s.staleness.Store(int64(d)) }

// SetAfter demands that answers reflect everything that a head includes, which
// may have been another process's. nil demands nothing. A head of another
// incarnation can never be reached: the session is not served then.
func (s *Session) SetAfter(h *Head) { s.after.Store(h) }

// Begin notes that a read begins at a moment. A nil session has nothing to note.
func (s *Session) Begin(at Instant) {
	if s != nil && Level(s.level.Load()) == Strong {
		s.Received(at)
	}
}

// Received notes that the session was shown, at moment at or before it, a state
// of the database that no head is known to include: an answer that came from
// Postgres, the acknowledgement of a write, an entry just loaded.
func (s *Session) Received(at Instant) {
	raise(&s.past().need, at)
}

// raise makes a moment at least at.
func raise(moment *atomic.Int64, at Instant) {
	for {
		old := moment.Load()
		if int64(at) <= old || moment.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// Need returns the moment at or after which a completed look must have begun
// for the session to see what it has been shown.
func (s *Session) Need() Instant { return Instant(s.past().need.Load()) }

// Demand returns the moment at or after which a completed look must have begun
// before the session may be served from a cache at moment now. staleness is the
// cache's own. A nil session demands bounded staleness.
func (s *Session) Demand(now Instant, staleness time.Duration) Instant {
	if s == nil {
		return now.Add(-staleness)
	}
	if own := s.staleness.Load(); own > 0 {
		staleness = time.Duration(own)
	}
	if Level(s.level.Load()) == Bounded {
		return now.Add(-staleness)
	}
	return max(s.Need(), now.Add(-staleness))
}

// Reached reports whether a head includes what SetAfter demands.
func (s *Session) Reached(h *Head) bool {
	if s == nil {
		return true
	}
	after := s.after.Load()
	if after == nil {
		return true
	}
	if !after.sameIncarnation(h) || !h.Snapshot.Includes(after.Snapshot) {
		return false
	}
	// Heads only move forward within an incarnation, and in another one the session
	// is not shown less than what it demanded: nothing of it is left to compare.
	s.after.CompareAndSwap(after, nil)
	return true
}

// Reachable reports whether a later head of h's incarnation can include what
// SetAfter demands.
func (s *Session) Reachable(h *Head) bool {
	if s == nil {
		return true
	}
	after := s.after.Load()
	return after == nil || after.sameIncarnation(h)
}
