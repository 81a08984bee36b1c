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
	type bucket struct{ bound, count float64 }
	var found []bucket
	for series, count := range after {
		edge, ok := strings.CutPrefix(series, name)
		if !ok {
			continue
		}
		if bound, err := strconv.ParseFloat(strings.TrimSuffix(edge, `"}`), 64); err == nil {
			found = append(found, bucket{bound, count - before[series]})
		}
	}
	short, least := 0.0, math.Inf(1)
	for _, b := range found {
		if math.IsInf(b.bound, 1) {
			all = int64(b.count)
		}
		if b.bound <= (long + long/8).Seconds() {
			short = max(short, b.count)
		}
	}
	for _, b := range found {
		if int64(b.count) == all {
			least = min(least, b.bound)
		}
	}
	if all > 0 && !math.IsInf(least, 1) {
		most = time.Duration(least * float64(time.Second))
	}
	return all, all - int64(short), most
}
