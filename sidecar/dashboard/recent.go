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
	// Calls are the hits and loads per second, Saved the seconds of Postgres' that hits
	// have spared it per second.
	Calls []value `json:"calls"`
	Saved []value `json:"saved"`
}

// recent keeps the courses of the statements in Stats.Shapes: of ShapesMax at most. A statement
// that leaves the list is forgotten. Its methods may be called concurrently.
type recent struct {
	mu      sync.Mutex
	at      time.Time // when the newest interval ended
	courses map[string]*course
}

// course is that of one statement. Its counters are those at the end of the newest interval.
type course struct {
	RecentShape
	calls uint64
	saved float64
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
	r.at, r.courses = now, make(map[string]*course, len(s.Shapes))
	for i := range s.Shapes {
		shape := &s.Shapes[i]
		c := r.courses[shape.Statement]
		if c == nil {
			c = &course{}
			r.courses[shape.Statement] = c
		}
		// One text is several shapes where it means something else for each search path.
		c.calls += shape.Hits + shape.Loads
		c.saved += shape.SavedSeconds
	}
	for statement, c := range r.courses {
		if was := before[statement]; was != nil {
			c.Calls = appended(was.Calls, rate(was.calls, c.calls, elapsed.Seconds()))
			c.Saved = appended(was.Saved, max(0, c.saved-was.saved)/elapsed.Seconds())
		}
	}
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
		all.Statements[statement] = RecentShape{Calls: append([]value{}, c.Calls...), Saved: append([]value{}, c.Saved...)}
	}
	return all
}

func (s *Server) recentShapes(w http.ResponseWriter, _ *http.Request) {
	answerCompactJSON(w, s.recent.shapes())
}
