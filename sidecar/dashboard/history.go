package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

const sampleEvery = time.Second

// resolution is one part of the history: so many intervals of one length.
type resolution struct {
	name     string
	interval time.Duration
	length   int
}

// resolutions are what is kept, the finest first; each interval is a multiple of the one
// before. All that is kept of a day takes less than 400 KiB.
var resolutions = []resolution{
	{"15m", time.Second, 900},
	{"2h", 10 * time.Second, 720},
	{"24h", time.Minute, 1440},
}

// history keeps a value of each series for each interval of each resolution. Its methods
// may be called concurrently.
type history struct {
	mu       sync.Mutex
	rings    []*ring
	previous *Stats
	at       time.Time
}

func newHistory() *history {
	h := &history{}
	for _, r := range resolutions {
		h.rings = append(h.rings, newRing(r, len(allSeries)))
	}
	return h
}

// add files a reading taken at now, and returns what happened since the one before, nil
// if there is none. The first one only starts the count.
func (h *history) add(s *Stats, now time.Time) []float32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, elapsed := h.previous, now.Sub(h.at).Seconds()
	h.previous, h.at = withCounters(s), now
	if before == nil || elapsed <= 0 {
		return nil
	}
	values := make([]float32, len(allSeries))
	for i, line := range allSeries {
		values[i] = float32(line.read(before, s, elapsed))
	}
	for _, r := range h.rings {
		r.add(values, now)
	}
	return values
}

// ageReadings are how many of the newest readings ageP99 is of: five minutes.
const ageReadings = 300

// ageP99 is the follower's age that 99 of 100 of the newest readings did not exceed, nil if
// none has one.
func (h *history) ageP99() *float64 {
	h.mu.Lock()
	ages := h.rings[0].newestOf(ageSeries, ageReadings)
	h.mu.Unlock()
	if len(ages) == 0 {
		return nil
	}
	slices.Sort(ages)
	p99 := float64(ages[min(len(ages)-1, len(ages)*99/100)])
	return &p99
}

// History is the JSON form of GET /api/v1/history: columns of equal length, oldest first,
// the last value ending at End.
type History struct {
	// Range names the resolution: 15m, 2h or 24h.
	Range string `json:"range"`
	// IntervalSeconds is the time between two values, LengthMax the most values a
	// column can have.
	IntervalSeconds float64 `json:"interval_seconds"`
	LengthMax       int     `json:"length_max"`
	// End is in seconds since 1970.
	End float64 `json:"end"`
	// Series has a column for each line. Outcomes, "by_nature" (what was passed through
	// and could never be cached), "upstream", "changes", "evictions", "verified", and the
	// seconds of Postgres' that hits have spared ("saved") and that statements of clients
	// took ("busy") are per second; "follower_age", and what statements took
	// ("latency_hit_l1_p99", "overhead_p50"), are in seconds and the highest of the interval.
	// Null is unknown, or an interval in which nobody looked.
	Series map[string][]value `json:"series"`
}

// columns returns the history of one resolution; name is one of theirs.
func (h *history) columns(name string) (History, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.rings {
		if r.name == name {
			return r.columns(), nil
		}
	}
	return History{}, fmt.Errorf("there is no range %q: ask for 15m, 2h or 24h", name)
}

// value is a number of the history. Four digits are as many as anybody sees in a chart.
type value float32

// MarshalJSON writes null for what is unknown.
func (v value) MarshalJSON() ([]byte, error) {
	f := float64(v)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, f, 'g', 4, 32), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *value) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*v = value(unknown())
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 32)
	*v = value(f)
	return err
}
