package pauses

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The series of Go's runtime.
const (
	collections  = "go_gc_duration_seconds_count"
	pauseBuckets = `go_sched_pauses_total_gc_seconds_bucket{le="`
	waitBuckets  = `go_sched_latencies_seconds_bucket{le="`
)

// add adds what happened between two readings of the series.
func (s *Side) add(before, after map[string]float64) {
	s.Collections += int64(after[collections] - before[collections])
	pauses, longPauses, most := buckets(pauseBuckets, before, after)
	s.Pauses += pauses
	s.LongPauses += longPauses
	s.PauseMost = max(s.PauseMost, most)
	waits, longWaits, _ := buckets(waitBuckets, before, after)
	s.Waits += waits
	s.LongWaits += longWaits
}

// buckets returns how many times fell between two readings into the buckets of a histogram,
// how many were longer than 1 ms, and a bound of all. A bucket that 1 ms lies in counts as
// short only if it ends within an eighth of it.
func buckets(name string, before, after map[string]float64) (all, longer int64, most time.Duration) {
	short := 0.0
	least := math.Inf(1)
	for series, count := range after {
		edge, ok := strings.CutPrefix(series, name)
		if !ok {
			continue
		}
		bound, err := strconv.ParseFloat(strings.TrimSuffix(edge, `"}`), 64)
		if err != nil {
			continue
		}
		up := count - before[series]
		if math.IsInf(bound, 1) {
			all = int64(up)
		}
		if bound <= (long + long/8).Seconds() {
			short = max(short, up)
		}
	}
	for series, count := range after {
		edge, ok := strings.CutPrefix(series, name)
		if !ok {
			continue
		}
		bound, err := strconv.ParseFloat(strings.TrimSuffix(edge, `"}`), 64)
		if err == nil && int64(count-before[series]) == all {
			least = min(least, bound)
		}
	}
	if all > 0 && !math.IsInf(least, 1) {
		most = time.Duration(least * float64(time.Second))
	}
	return all, all - int64(short), most
}
