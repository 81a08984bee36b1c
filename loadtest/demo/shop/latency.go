package shop

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyMax is the longest time the distributions tell apart from longer ones.
const latencyMax = time.Minute

// recorder collects times from many goroutines.
type recorder struct {
	mu    sync.Mutex
	times *hdrhistogram.Histogram // nanoseconds
}

func newRecorder() *recorder {
	return &recorder{times: hdrhistogram.New(1000, latencyMax.Nanoseconds(), 3)}
}

func (r *recorder) record(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The only error is a value beyond the range, which is cut to it.
	_ = r.times.RecordValue(max(0, min(took, latencyMax)).Nanoseconds())
}

// Times are quantiles of a distribution. All are zero if there were none.
type Times struct {
	Count         int64
	P50, P99, Max time.Duration
}

func (r *recorder) summary() Times {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times.TotalCount() == 0 {
		return Times{}
	}
	return Times{
		Count: r.times.TotalCount(),
		P50:   time.Duration(r.times.ValueAtQuantile(50)),
		P99:   time.Duration(r.times.ValueAtQuantile(99)),
		Max:   time.Duration(r.times.Max()),
	}
}
