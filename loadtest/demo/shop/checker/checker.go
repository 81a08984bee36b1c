package checker

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	shards = 64
	// examplesMax bounds the violations that are kept in words.
	examplesMax = 10
	// ageMax is the longest age the distribution tells apart from longer ones.
	ageMax = time.Hour
)

// Key names one versioned thing: a row, or a set of rows that only grows.
type Key struct {
	Kind string
	ID   int64
}

// String writes it as kind/id.
func (k Key) String() string { return fmt.Sprintf("%s/%d", k.Kind, k.ID) }

// Version is what a read returned for a key. Only writers raise it, in the same
// transaction as the change, so a higher version is a newer state.
type Version struct {
	Key    Key
	Number int64
}

// Checker collects acknowledged writes and judges reads by them.
type Checker struct {
	bound time.Duration
	seed  maphash.Seed
	parts [shards]part

	mu     sync.Mutex
	report Report
	ages   *hdrhistogram.Histogram // microseconds
}

// part holds a share of the keys.
type part struct {
	mu   sync.Mutex
	keys map[Key]*history
}

// New makes a checker of the promise that a read reflects every write that was
// acknowledged more than bound before it began.
func New(bound time.Duration) *Checker {
	c := &Checker{
		bound: bound,
		seed:  maphash.MakeSeed(),
		ages:  hdrhistogram.New(1, ageMax.Microseconds(), 3),
	}
	for i := range c.parts {
		c.parts[i].keys = map[Key]*history{}
	}
	return c
}

// Acknowledge notes that at the moment a writer knew its version to be
// committed: the moment after the reply to its COMMIT arrived.
func (c *Checker) Acknowledge(written Version, at time.Time) {
	p := c.part(written.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.keys[written.Key]
	if h == nil {
		h = &history{}
		p.keys[written.Key] = h
	}
	h.acknowledge(written.Number, at)
}

func (c *Checker) part(key Key) *part {
	return &c.parts[maphash.Comparable(c.seed, key)%shards]
}

// verdict is what the checker knows of one version that a read returned.
type verdict struct {
	judged    bool
	stale     bool          // the bound is broken
	contested bool          // a write was acknowledged within the bound before the read
	age       time.Duration // how long before the read it had been replaced
	required  int64
}

// judge compares a version with what was acknowledged before the read began.
func (c *Checker) judge(got Version, began time.Time) verdict {
	p := c.part(got.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.keys[got.Key]
	if h == nil {
		return verdict{judged: true} // never written since the start
	}
	required, known := h.at(began.Add(-c.bound))
	if !known {
		return verdict{}
	}
	v := verdict{judged: true, stale: got.Number < required, required: required}
	newest, _ := h.at(began)
	v.contested = newest > required
	if at, superseded := h.supersededAt(got.Number); superseded {
		v.age = max(0, began.Sub(at))
	}
	return v
}
