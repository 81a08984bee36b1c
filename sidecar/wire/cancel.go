package wire

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// cancelKey is what a client names to cancel a statement of a session: process
// id and secret, as Postgres gave them.
type cancelKey string

// processID is the number of the server's process, 0 if there is none.
func (k cancelKey) processID() uint32 {
	if len(k) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32([]byte(k[:4]))
}

// sessions are those that are connected, by cancel key.
type sessions struct {
	mu    sync.Mutex
	byKey map[cancelKey]*session
}

func (r *sessions) add(s *session) {
	r.mu.Lock()
	r.byKey[s.cancel] = s
	r.mu.Unlock()
}

func (r *sessions) remove(s *session) {
	r.mu.Lock()
	if r.byKey[s.cancel] == s {
		delete(r.byKey, s.cancel)
	}
	r.mu.Unlock()
}

func (r *sessions) find(key cancelKey) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byKey[key]
}

// each calls f for every session.
func (r *sessions) each(f func(*session)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.byKey {
		f(s)
	}
}

// cancelWaitMax is how long Postgres may take to act on a cancel request.
const cancelWaitMax = 10 * time.Second

// cancels is what cancel requests of one client act upon in its session.
type cancels struct {
	mu sync.Mutex
	// interrupt, unless nil, ends the session's wait for another's load. It is set and
	// reset by waiting.
	interrupt context.CancelFunc
	// passed is set when a cancel request is handed to Postgres, and reset before a lookup is
	// sent, which the request may meet.
	passed atomic.Bool
	keptCancel
}

// waiting returns a context for a wait that a cancel request is to end. done must be
// called.
func (c *cancels) waiting(session context.Context) (ctx context.Context, done func()) {
	ctx, stop := context.WithCancel(session)
	c.set(stop)
	if c.takeKept() {
		stop()
	}
	return ctx, func() {
		c.set(nil)
		stop()
	}
}

func (c *cancels) set(interrupt context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt = interrupt
}

// waits reports whether the session waits for another's load.
func (c *cancels) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupt != nil
}

// endWait ends the session's wait for another's load, if it is in one.
func (c *cancels) endWait() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupt == nil {
		return false
	}
	c.interrupt()
	return true
}
