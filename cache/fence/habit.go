package fence

import "sync/atomic"

// A session that was shown what the newest head may lack needs a look before it is
// served from a cache again. To make that look before the read comes pays only where
// such a read tends to come: a session that misses and misses again needs none. So a
// session's habit says how it went the last times, and nothing else depends on it: a
// read that needs a look, and for which none was made, waits for one.
const (
	// habitMax bounds how much of the past counts: this many times the other way, and
	// it is forgotten.
	habitMax = 4
	// habitReads is how much of it shows that reads follow.
	habitReads = 2
)

// habit is what a session was seen to do. The zero value expects nothing. Two of its
// methods at once may count one time too many or too few.
type habit struct {
	// waits is set from when the session was shown something new until it is served.
	waits atomic.Bool
	// followed is how often lately it was served next, less how often it was not.
	followed atomic.Int32
}

// shown notes that the session was shown something new, and reports whether it tends
// to be served next.
func (h *habit) shown() bool {
	followed := h.followed.Load()
	if h.waits.Swap(true) && followed > 0 {
		followed--
		h.followed.Store(followed)
	}
	return followed >= habitReads
}

// awaited notes that the session's next read demands a look, and reports what shown does.
func (h *habit) awaited() bool {
	h.waits.Store(true)
	return h.followed.Load() >= habitReads
}

// served notes that the session was served from a cache.
func (h *habit) served() {
	if !h.waits.Load() {
		return
	}
	h.waits.Store(false)
	h.followed.Store(min(h.followed.Load()+1, habitMax))
}

// Ahead notes that the session was shown what the newest head may lack, and reports
// whether a look pays that is made before its next read: whether it demands one at
// all, and such reads tend to be served from the cache.
func (s *Session) Ahead() bool {
	return s != nil && Level(s.level.Load()) == OwnWrites && s.habit.shown()
}

// Demands is Ahead where the session was shown nothing in between, so that nothing is known of
// the read that it was expected to make.
func (s *Session) Demands() bool {
	return s != nil && Level(s.level.Load()) == OwnWrites && s.habit.awaited()
}

// Served notes that the session was served from a cache. A nil session has nothing to
// note.
func (s *Session) Served() {
	if s != nil {
		s.habit.served()
	}
}
