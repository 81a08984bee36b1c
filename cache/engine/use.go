package engine

import (
	"sync/atomic"
	"time"
)

// use counts what became of the questions of one shape. Shapes that share a place are
// counted together, as in worths.
type use struct {
	hits, loads    atomic.Uint64
	saved, loading atomic.Int64 // nanoseconds
	age            atomic.Int64 // nanoseconds, set by NoteAge
}

// uses are those of all shapes.
type uses [shapesMax]use

func (u *uses) at(shape uint64) *use { return &u[shape%shapesMax] }

func (u *use) loaded(took time.Duration) {
	u.loads.Add(1)
	u.loading.Add(int64(took))
}

// Use is what became of the questions of one shape.
type Use struct {
	// Hits were answered with an entry, Loads by a load.
	Hits, Loads uint64
	// Saved is what the loads of all the entries took that hits were answered with, Loading
	// what all loads took.
	Saved, Loading time.Duration
	// Age is how old the entry was that NoteAge was called for last.
	Age time.Duration
}

// NoteHit counts a question that was answered with an entry.
func (c *Cache) NoteHit(e *Entry) {
	u := c.uses.at(e.shape)
	u.hits.Add(1)
	u.saved.Add(int64(e.Took()))
}

// NoteAge notes how old an entry is that a question is answered with.
func (c *Cache) NoteAge(e *Entry, age time.Duration) { c.uses.at(e.shape).age.Store(int64(age)) }

// Use returns what is counted of a shape.
func (c *Cache) Use(shape uint64) Use {
	u := c.uses.at(shape)
	return Use{Hits: u.hits.Load(), Loads: u.loads.Load(), Saved: time.Duration(u.saved.Load()), Loading: time.Duration(u.loading.Load()), Age: time.Duration(u.age.Load())}
}
