package checker

import (
	"fmt"
	"time"
)

// Session judges the reads of one connection: beside the bound, that it sees its
// own writes and never goes back in time. It remembers one pair of numbers for
// each key it met.
type Session struct {
	checker *Checker
	name    string
	met     map[Key]memory
}

// memory is what a connection wrote and the highest version it read.
type memory struct{ wrote, read int64 }

// Session begins to watch a new connection; the name is for examples. A connection that was opened again
// is a new one.
func (c *Checker) Session(name string) *Session {
	return &Session{checker: c, name: name, met: map[Key]memory{}}
}

// Acknowledge is Checker.Acknowledge for a write of this connection's own.
func (s *Session) Acknowledge(written Version, at time.Time) {
	s.checker.Acknowledge(written, at)
	m := s.met[written.Key]
	m.wrote = max(m.wrote, written.Number)
	s.met[written.Key] = m
}

// Read judges the result of one query that was sent after the moment began. Every
// version in it is judged; the query counts once, whatever their number.
func (s *Session) Read(began time.Time, result []Version) {
	r := reading{session: s.name}
	for _, got := range result {
		r.add(got, s.checker.judge(got, began), s.met[got.Key], s.checker.bound)
		m := s.met[got.Key]
		m.read = max(m.read, got.Number)
		s.met[got.Key] = m
	}
	s.checker.count(r)
}

// Total judges a total and the sum of its parts as one query returned them: both
// are written in one transaction, so a difference means that the result mixes
// two states of the database.
func (s *Session) Total(stated, summed int64) {
	c := s.checker
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Totals++
	if stated != summed {
		c.report.TotalsWrong++
		c.exampleLocked(fmt.Sprintf("total: the parts of a total of %d sum to %d (%s)", stated, summed, s.name))
	}
}

// reading gathers the verdicts on one query's result.
type reading struct {
	session                          string
	versions                         uint64
	unjudged, stale, contested, late bool
	ownChecked, ownLost, back        bool
	age                              time.Duration
	examples                         []string
}

func (r *reading) add(got Version, v verdict, m memory, bound time.Duration) {
	r.versions++
	r.unjudged = r.unjudged || !v.judged
	r.contested = r.contested || v.contested
	r.late = r.late || v.age > 0
	r.age = max(r.age, v.age)
	if v.stale {
		r.stale = true
		r.example("stale: %v at version %d, %d was acknowledged more than %v before the read", got.Key, got.Number, v.required, bound)
	}
	r.ownChecked = r.ownChecked || m.wrote > 0
	if got.Number < m.wrote {
		r.ownLost = true
		r.example("own write: %v at version %d, the connection wrote %d", got.Key, got.Number, m.wrote)
	}
	if got.Number < m.read {
		r.back = true
		r.example("back in time: %v at version %d, the connection had read %d", got.Key, got.Number, m.read)
	}
}

func (r *reading) example(format string, args ...any) {
	if len(r.examples) < examplesMax {
		r.examples = append(r.examples, fmt.Sprintf(format, args...)+" ("+r.session+")")
	}
}
