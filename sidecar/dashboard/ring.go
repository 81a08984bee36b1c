package dashboard

import (
	"math"
	"time"
)

// ring keeps the newest intervals of one resolution, in a fixed array.
type ring struct {
	resolution
	width  int // values in an interval
	values []float32
	next   int   // the place of the next interval
	filled int   // how many there are
	newest int64 // the number of the newest whole interval, counted from 1970

	// What is gathered of the interval that is under way.
	current  int64
	gathered []float64
	counts   []int
}

func newRing(r resolution, width int) *ring {
	return &ring{
		resolution: r, width: width, values: make([]float32, r.length*width),
		gathered: make([]float64, width), counts: make([]int, width),
	}
}

// add takes the values of about the moment now. They are part of one interval, which is
// filed once a value of a later one comes.
func (r *ring) add(values []float32, now time.Time) {
	number := now.UnixMilli() / r.interval.Milliseconds()
	if r.interval == sampleEvery {
		// A tick that comes a little late is no gap: the finest intervals are counted
		// by their values, unless some are missing.
		if number = max(r.newest+1, number-1); r.filled == 0 || number > r.newest+3 {
			number = now.UnixMilli() / r.interval.Milliseconds()
		}
		r.file(values, number)
		return
	}
	if number != r.current && r.current != 0 {
		r.file(r.joined(), r.current)
	}
	r.current = number
	for i, v := range values {
		switch {
		case math.IsNaN(float64(v)):
		case r.counts[i] == 0:
			r.gathered[i], r.counts[i] = float64(v), 1
		case allSeries[i].joining == highest:
			r.gathered[i] = max(r.gathered[i], float64(v))
		default:
			r.gathered[i] += float64(v)
			r.counts[i]++
		}
	}
}

// joined returns one value of each series for the interval under way, and begins another.
func (r *ring) joined() []float32 {
	values := make([]float32, r.width)
	for i := range values {
		values[i] = float32(unknown())
		if r.counts[i] > 0 {
			values[i] = float32(r.gathered[i] / float64(r.counts[i]))
		}
		r.gathered[i], r.counts[i] = 0, 0
	}
	return values
}

// file keeps the values of an interval, and fills those that are missing since the newest
// one, as when the machine slept.
func (r *ring) file(values []float32, number int64) {
	missing := number - r.newest - 1
	if r.filled == 0 || missing < 0 {
		missing = 0
	}
	for range min(missing, int64(r.length)) {
		r.put(nil)
	}
	r.put(values)
	r.newest = number
}

// put keeps one interval; values nil is one without any.
func (r *ring) put(values []float32) {
	place := r.values[r.next*r.width : (r.next+1)*r.width]
	for i := range place {
		place[i] = float32(unknown())
	}
	copy(place, values)
	r.next = (r.next + 1) % r.length
	r.filled = min(r.filled+1, r.length)
}

// newestOf returns what is known of one series in the newest n intervals.
func (r *ring) newestOf(series, n int) (known []float32) {
	for j := range min(n, r.filled) {
		place := (r.next - 1 - j + r.length) % r.length
		if v := r.values[place*r.width+series]; !math.IsNaN(float64(v)) {
			known = append(known, v)
		}
	}
	return known
}

func (r *ring) columns() History {
	h := History{
		Range: r.name, IntervalSeconds: r.interval.Seconds(), LengthMax: r.length,
		End: float64(r.newest+1) * r.interval.Seconds(), Series: make(map[string][]value, r.width),
	}
	for i, line := range allSeries {
		column := make([]value, r.filled)
		for j := range column {
			place := (r.next - r.filled + j + r.length) % r.length
			column[j] = value(r.values[place*r.width+i])
		}
		h.Series[line.name] = column
	}
	return h
}
