package engine

import (
	"sync/atomic"
	"time"
)

const (
	// ageBuckets are how finely the ages of hits are told apart: they double, from
	// ageFirst on.
	ageBuckets = 24
	ageFirst   = time.Millisecond
	// The ages of the first ageAll hits are noted, then those of one of ageOf.
	ageAll = 64
	ageOf  = 16
)

// use counts what became of the questions of one shape. Shapes that share a place are
// counted together, as in worths.
type use struct {
	hits, loads    atomic.Uint64
	saved, loading atomic.Int64 // nanoseconds
	age            atomic.Int64 // nanoseconds, set by NoteAge
	entries, bytes atomic.Int64 // that the first tier holds
	ages           [ageBuckets]atomic.Uint32
	misses         [Causes]atomic.Uint32
}

// uses are those of all shapes.
type uses [shapesMax]use

func (u *uses) at(shape uint64) *use { return &u[UsePlace(shape)] }

// reads returns how many hits and loads there were; none where nobody calls NoteHit.
func (u *uses) reads() uint64 {
	var hits, loads uint64
	for i := range u {
		hits += u[i].hits.Load()
		loads += u[i].loads.Load()
	}
	if hits == 0 {
		return 0
	}
	return hits + loads
}

func (u *use) loaded(took time.Duration) {
	u.loads.Add(1)
	u.loading.Add(int64(took))
}

func (u *use) holds(entries, bytes int64) {
	u.entries.Add(entries)
	u.bytes.Add(bytes)
}

// noteAge puts an age into its bucket.
func (u *use) noteAge(age time.Duration) {
	i := 0
	for bound := ageFirst; i < ageBuckets-1 && age >= bound; bound *= 2 {
		i++
	}
	u.ages[i].Add(1)
}

// medianAge returns the age that half of the hits are below, about.
func (u *use) medianAge() time.Duration {
	var counts [ageBuckets]uint64
	total := uint64(0)
	for i := range counts {
		counts[i] = uint64(u.ages[i].Load())
		total += counts[i]
	}
	below := uint64(0)
	for i, n := range counts {
		if n > 0 && 2*(below+n) >= total {
			low, high := ageFirst<<i/2, ageFirst<<i
			if i == 0 {
				low = 0
			}
			return low + time.Duration(float64(high-low)*(float64(total)/2-float64(below))/float64(n))
		}
		below += n
	}
	return 0
}

// Use is what became of the questions of one shape.
type Use struct {
	// Hits were answered with an entry, Loads by a load.
	Hits, Loads uint64
	// Saved is what the loads of all the entries took that hits were answered with, Loading
	// what all loads took.
	Saved, Loading time.Duration
	// Age is how old the entry was that NoteAge was called for last, MedianAge what half of
	// those were below that hits were answered with, as far as they are sampled.
	Age, MedianAge time.Duration
	// Entries and Bytes are what the first tier holds of the shape.
	Entries, Bytes int64
	// Misses are counted by NoteMiss.
	Misses [Causes]uint64
}

// NoteHit counts a question that was answered with an entry of an age.
func (c *Cache) NoteHit(e *Entry, age time.Duration) {
	u := c.uses.at(e.shape)
	n := u.hits.Add(1)
	u.saved.Add(int64(e.Took()))
	if n <= ageAll || n%ageOf == 0 {
		u.noteAge(age)
	}
	if sampled(e.hash) {
		c.noteRead(e, true)
	}
}

// NoteAge notes how old an entry is that a question is answered with.
func (c *Cache) NoteAge(e *Entry, age time.Duration) { c.uses.at(e.shape).age.Store(int64(age)) }

// NoteMiss counts a question of a shape that an entry would have answered but for a cause.
func (c *Cache) NoteMiss(shape uint64, why Cause) { c.uses.at(shape).misses[why].Add(1) }

// UsePlace is the place that a shape is counted in, with all others that have it.
func UsePlace(shape uint64) uint64 { return shape % shapesMax }

// Use returns what is counted of a shape.
func (c *Cache) Use(shape uint64) Use {
	u := c.uses.at(shape)
	use := Use{
		Hits: u.hits.Load(), Loads: u.loads.Load(), Saved: time.Duration(u.saved.Load()), Loading: time.Duration(u.loading.Load()),
		Age: time.Duration(u.age.Load()), MedianAge: u.medianAge(), Entries: u.entries.Load(), Bytes: u.bytes.Load(),
	}
	for cause := range use.Misses {
		use.Misses[cause] = uint64(u.misses[cause].Load())
	}
	return use
}
