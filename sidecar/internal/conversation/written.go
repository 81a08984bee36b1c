package conversation

import (
	"slices"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// writtenMax bounds the tags and classes that are gathered of one transaction. One that
// writes more may have written anything.
const writtenMax = 1024

// Written is what a session may have written since Postgres was idle last.
type Written struct {
	// Anything is set if it may be rows of any table, Tags are those of the others.
	// Classes are those of more tags, of which is not known which.
	Anything bool
	Tags     []fence.Tag
	Classes  []fence.Class
	// Roles is set if roles, or settings of databases, may be others.
	Roles bool
	// Definitions is set if it may be more than rows.
	Definitions bool
	// Analysed is set if Tags are by analyses, all of that Generation of the schema.
	Analysed   bool
	Generation uint64
}

func (w *Written) add(e *shapes.Effect) {
	if e == nil {
		w.Anything, w.Definitions = true, true
		return
	}
	w.Anything = w.Anything || e.AnyRows || w.Analysed && e.Analysed && w.Generation != e.Generation
	if e.Analysed {
		w.Analysed, w.Generation = true, e.Generation
	}
	if w.Anything = w.Anything || len(w.Tags)+len(w.Classes) > writtenMax; w.Anything {
		return // then nobody asks what
	}
	w.Tags, w.Classes = appendNew(w.Tags, e.Tags), appendNew(w.Classes, e.Classes)
}

func appendNew[T comparable](to, from []T) []T {
	for _, one := range from {
		if !slices.Contains(to, one) {
			to = append(to, one)
		}
	}
	return to
}

// Nothing reports whether nothing was written.
func (w *Written) Nothing() bool { return !w.Anything && len(w.Tags) == 0 && len(w.Classes) == 0 }

// writtenLocked notes that an answer tells the client of what the statement has
// done that it belongs to; ended, that it tells of all that was done.
func (c *Conversation) writtenLocked(due *Expectation, ended bool) {
	c.written.add(due.effect())
	c.unmarked, c.ended = true, ended
}

// UnmarkedLocked is what is to be marked before the client gets what was heard last, which
// may tell it of that; nil if there is nothing to mark. MarkedLocked is to be called then.
func (c *Conversation) UnmarkedLocked() *Written {
	switch {
	case c.mistrusted:
		c.written.add(nil)
	case !c.unmarked:
		return nil
	}
	return &c.written
}

// MarkedLocked notes that all that was written is marked, and reports whether nothing more
// is written before Postgres is idle.
func (c *Conversation) MarkedLocked() (ended bool) {
	c.unmarked = false
	if c.ended {
		c.written = Written{Tags: c.written.Tags[:0], Classes: c.written.Classes[:0]}
	}
	return c.ended
}

// UnknownEnd reports whether something was under way that may have written, and of which
// nobody was told how it ended.
func (c *Conversation) UnknownEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() > 0 || !c.written.Nothing()
}
