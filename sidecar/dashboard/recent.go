package dashboard

import (
	"net/http"
	"sync"
	"time"
)

// The last five minutes of single statements are kept, in intervals of ten seconds.
const (
	recentEvery  = 10 * time.Second
	recentLength = 30
)

// RecentShapes is the JSON form of GET /api/v1/shapes/recent.
type RecentShapes struct {
	// IntervalSeconds is the time between two values, LengthMax the most that there are.
	IntervalSeconds float64 `json:"interval_seconds"`
	LengthMax       int     `json:"length_max"`
	// Statements are those of Stats.Shapes, by their texts.
	Statements map[string]RecentShape `json:"statements"`
}

// RecentShape is the course of one statement, the newest interval last.
type RecentShape struct {
	// Calls are the statements per second, Saved the seconds of Postgres' that hits have spared it
	// per second.
	Calls []value `json:"calls"`
	Saved []value `json:"saved"`
	// Misses are per second, by the causes of Stats.Misses that there were since the course began.
	Misses map[string][]value `json:"misses"`
}

// recent keeps the courses of the statements in Stats.Shapes and Stats.ShapesPassed. A statement
// that leaves the lists is forgotten. Its methods may be called concurrently.
type recent struct {
	mu      sync.Mutex
	at      time.Time // when the newest interval ended
	courses map[string]*course
}

// course is that of one statement. Its counters are those at the end of the newest interval.
type course struct {
	RecentShape
	calls  uint64
	saved  float64
	misses map[string]uint64
}

// add files what happened since the newest interval ended, once that was long enough ago.
func (r *recent) add(s *Stats, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	elapsed := now.Sub(r.at)
	if elapsed < recentEvery-sampleEvery/2 { // ticks come a little early or late
		return
	}
	before := r.courses
	r.at, r.courses = now, make(map[string]*course, len(s.Shapes)+len(s.ShapesPassed))
	for _, shapes := range [][]Shape{s.Shapes, s.ShapesPassed} {
		for i := range shapes {
			r.count(&shapes[i])
		}
	}
	for statement, c := range r.courses {
		if was := before[statement]; was != nil {
			c.Calls = appended(was.Calls, rate(was.calls, c.calls, elapsed.Seconds()))
			c.Saved = appended(was.Saved, max(0, c.saved-was.saved)/elapsed.Seconds())
			c.Misses = missed(was, c, elapsed.Seconds())
		}
	}
}

// count adds what is counted of a shape to the course of its text: one text is several shapes where
// it means something else for each search path.
func (r *recent) count(shape *Shape) {
	c := r.courses[shape.Statement]
	if c == nil {
		c = &course{misses: map[string]uint64{}}
		r.courses[shape.Statement] = c
	}
	c.calls += shape.Hits + shape.Loads + shape.Passed
	c.saved += shape.SavedSeconds
	for cause, n := range shape.Misses {
		c.misses[cause] += n
	}
}

// missed are the misses by cause, as long as the calls are, without the causes that there were none of.
func missed(was, is *course, elapsedSeconds float64) map[string][]value {
	all := make(map[string][]value, len(is.misses))
	for cause, n := range is.misses {
		before, known := was.Misses[cause]
		if !known && n == was.misses[cause] {
			continue
		}
		if !known {
			before = make([]value, len(was.Calls))
		}
		all[cause] = appended(before, rate(was.misses[cause], n, elapsedSeconds))
	}
	return all
}

// appended is a new list with one more value, without the oldest if there are too many.
func appended(values []value, newest float64) []value {
	values = values[max(0, len(values)-recentLength+1):]
	return append(append(make([]value, 0, len(values)+1), values...), value(newest))
}

// shapes are the courses as of the newest interval.
func (r *recent) shapes() RecentShapes {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := RecentShapes{IntervalSeconds: recentEvery.Seconds(), LengthMax: recentLength, Statements: make(map[string]RecentShape, len(r.courses))}
	for statement, c := range r.courses {
		all.Statements[statement] = RecentShape{Calls: append([]value{}, c.Calls...), Saved: append([]value{}, c.Saved...), Misses: c.copyMisses()}
	}
	return all
}

func (c *course) copyMisses() map[string][]value {
	all := make(map[string][]value, len(c.Misses))
	for cause, values := range c.Misses {
		all[cause] = append([]value{}, values...)
	}
	return all
}

func (s *Server) recentShapes(w http.ResponseWriter, _ *http.Request) {
	answerCompactJSON(w, s.recent.shapes())
}
