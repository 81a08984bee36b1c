package wire

import (
	"slices"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// written is what a session may have written since Postgres was idle last.
type written struct {
	anything bool
	// roles is set if roles, or settings of databases, may be others.
	roles bool
	// definitions is set if it may be more than rows.
	definitions bool
	tags        []fence.Tag
	// analysed is set if tags are by analyses, all of that generation of the schema.
	analysed   bool
	generation uint64
}

// concernsRoles reports whether a command of this tag may have changed what no event
// reports: roles, whose privileges they have, or settings of databases. A function that
// does so goes unnoticed until the follower compares.
func concernsRoles(tag []byte) bool {
	switch string(tag) {
	case "CREATE ROLE\x00", "ALTER ROLE\x00", "DROP ROLE\x00", "GRANT ROLE\x00", "REVOKE ROLE\x00", "GRANT\x00", "REVOKE\x00",
		"REASSIGN OWNED\x00", "DROP OWNED\x00", "ALTER DATABASE\x00", "ALTER SYSTEM\x00", "DO\x00":
		return true
	}
	return false
}

func (w *written) add(e *shapes.Effect) {
	if e == nil {
		w.anything, w.definitions = true, true
		return
	}
	w.anything = w.anything || e.AnyRows || w.analysed && e.Analysed && w.generation != e.Generation
	if e.Analysed {
		w.analysed, w.generation = true, e.Generation
	}
	for _, tag := range e.Tags {
		if !slices.Contains(w.tags, tag) {
			w.tags = append(w.tags, tag)
		}
	}
}

func (w *written) nothing() bool { return !w.anything && len(w.tags) == 0 }

// writtenLocked notes that an answer tells the client of what the statement has
// done that it belongs to; ended, that it tells of all that was done.
func (c *conversation) writtenLocked(due *expect, ended bool) {
	c.written.add(due.effectOf())
	c.unmarked, c.ended = true, ended
}

// acknowledgesLocked reports whether what was heard last may tell the client of something
// written. It is to be marked then, and acknowledgedLocked to be called.
func (c *conversation) acknowledgesLocked() bool {
	if c.mistrusted {
		c.written.add(nil)
		return true
	}
	return c.unmarked
}

// acknowledgedLocked notes that all that was written is marked.
func (c *conversation) acknowledgedLocked() {
	c.unmarked = false
	if c.ended {
		c.written = written{tags: c.written.tags[:0]}
	}
}

// unknownEnd reports whether something was under way that may have written, and of which
// nobody was told how it ended.
func (c *conversation) unknownEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() > 0 || !c.written.nothing()
}
