package wire

import (
	"slices"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// What one connection of this sidecar wrote, every other of its connections sees
// at once: the fence is told what an acknowledgement may stand for before the
// client is told (see cache/fence/mark.go). An acknowledgement is whatever tells
// that something may have been committed, and some come before the ReadyForQuery:
//
//  1. COMMIT is executed in a pipeline; its CommandComplete says that all is
//     committed, and the Sync behind it is not even sent.
//  2. A statement in a simple Query of its own is committed when its
//     CommandComplete comes; the ReadyForQuery may come in a later packet.
//  3. A CALL commits, and then fails, or raises a notice that says so.
//  4. The CommandComplete of an extended statement comes before its transaction
//     is committed, by the Sync: a look between the two lacks it. So the
//     ReadyForQuery marks again all that was written up to it.
//  5. What a transaction wrote is acknowledged by its COMMIT, whose own statement
//     names no table: what was written is gathered until Postgres is idle.
//  6. Postgres is lost with statements under way. Nothing is acknowledged, but
//     who finds the connection broken may look what became of them.
//
// Forced by TestWriteIsMarkedBeforeItsAcknowledgement.

// written is what a session may have written since Postgres was idle last.
type written struct {
	anything bool
	tags     []fence.Tag
}

func (w *written) add(e *effect) {
	if e == nil {
		w.anything = true
		return
	}
	for _, tag := range e.tags {
		if !slices.Contains(w.tags, tag) {
			w.tags = append(w.tags, tag)
		}
	}
}

func (w *written) nothing() bool { return !w.anything && len(w.tags) == 0 }

// noteWritten notes that an answer tells the client of what the statement has
// done that it belongs to. mu is held.
func (s *session) noteWritten(due *expect) {
	s.written.add(due.effectOf())
	s.unmarked, s.ended = true, false
}

// noteEnded notes that a ReadyForQuery tells the client of all that was done. mu
// is held.
func (s *session) noteEnded() {
	s.unmarked, s.ended = true, s.status == protocol.StatusIdle
}

// mark tells the fence what is about to be acknowledged. mu is held.
func (s *session) mark() {
	if s.confused {
		s.written.anything = true
	} else if !s.unmarked {
		return
	}
	s.unmarked = false
	if w := &s.written; !w.nothing() {
		now := fence.Now()
		if w.anything {
			s.server.fence.MarkAll(now)
		}
		s.server.fence.Mark(now, w.tags)
	}
	if s.ended {
		s.written = written{tags: s.written.tags[:0]}
	}
}

// markLost tells the fence that Postgres is gone, with whatever was under way.
func (s *session) markLost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.len() > 0 || !s.written.nothing() {
		s.server.fence.MarkAll(fence.Now())
	}
}
