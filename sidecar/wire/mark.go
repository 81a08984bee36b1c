package wire

import "github.com/freshet/freshet/cache/fence"

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
//
// Of a command that concerns roles or the settings of a database no event tells. So the
// follower is told that a look has to compare these, before the moment is taken that
// readers are to confirm (see invalidation.Follower.Suspect).
// (TestRoleCommandsAreSeenAtOnce)

// markLocked tells the fence what is about to be acknowledged. The conversation is
// locked.
func (s *session) markLocked() {
	w := s.talk.UnmarkedLocked()
	if w == nil {
		return
	}
	wrote := !w.Nothing()
	if wrote {
		switch {
		case w.Roles:
			s.server.follower.Suspect()
		case w.Definitions:
			s.server.suspectDefinitions()
		}
		now := fence.Now()
		if w.Definitions {
			s.server.defined(now)
		}
		w.Anything = w.Anything || w.Analysed && !s.server.reliesOn(w.Generation)
		if w.Anything {
			s.server.fence.MarkAll(now)
		}
		s.server.fence.Mark(now, w.Tags)
		s.server.fence.MarkClasses(now, w.Classes)
	}
	if s.talk.MarkedLocked() && wrote {
		s.server.cache.Anticipate(&s.reads) // the client's next read demands a look from now on
	}
}

// defined notes that by moment at something was acknowledged that may have changed
// definitions.
func (s *Server) defined(at fence.Instant) {
	for {
		old := s.definedAt.Load()
		if int64(at) <= old || s.definedAt.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// reliesOn reports whether what analyses of a generation of the schema say of writes is
// what they did, as far as this sidecar knows: no change of a definition that it has
// acknowledged is still to be received.
//
//  1. an UPDATE is known to write one table;
//  2. a trigger is made on this table through this sidecar, which writes another one;
//  3. the UPDATE is executed, and acknowledged; the event of 2 is not received yet;
//  4. a reader of the other table would find it not marked.
//
// Forced by TestTriggerMadeHereMarksItsTables.
func (s *Server) reliesOn(generation uint64) bool {
	return int64(s.fence.LookBegan()) >= s.definedAt.Load() && generation == s.verdicts.Generation()
}

// markLost tells the fence that Postgres is gone, with whatever was under way.
func (s *session) markLost() {
	if s.talk.UnknownEnd() {
		s.server.follower.Suspect()
		s.server.fence.MarkAll(fence.Now())
	}
}

// suspectDefinitions has the next look compare definitions where no event reports that
// they changed, so that all sessions of this sidecar are shown at once what one of them
// did. It comes before the moment is read that they will confirm: see
// invalidation.Follower.Suspect. Forced by TestDefinitionsAreSuspectedBeforeTheMark.
func (s *Server) suspectDefinitions() {
	if !s.follower.State().Reported() {
		s.follower.Suspect()
	}
}
