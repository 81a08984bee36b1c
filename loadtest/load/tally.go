package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/freshet/freshet/loadtest/report"
	"github.com/freshet/freshet/loadtest/target"
	"github.com/freshet/freshet/loadtest/workload"
)

const (
	// unit is the finest difference between latencies, longest the longest; they have three
	// digits.
	unit    = 100 * time.Nanosecond
	longest = 2 * time.Minute
	digits  = 3
	// stepTime is how long a step of a turn's course is at least; steps are put together
	// afterwards, so that a turn has stepsMax at most.
	stepTime = 100 * time.Millisecond
)

// tally is what clients count. The zero value has counted nothing.
type tally struct {
	// The histograms are nil until something was counted.
	reads, writes, lags *hdrhistogram.Histogram
	errors              int64
	firstError          string
	seen, behind, stale int64
	oldest              time.Duration
	steps               []int64
	// stampede is the number of the last one that the client took part in.
	stampede int64
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longest/unit), digits)
}

// record counts a duration. What is out of bounds is taken for the bound.
func record(h **hdrhistogram.Histogram, d time.Duration) {
	if *h == nil {
		*h = newHistogram()
	}
	_ = (*h).RecordValue(max(1, min(int64(d/unit), int64(longest/unit)))) // it is within bounds
}

func (t *tally) reset() {
	for _, h := range []*hdrhistogram.Histogram{t.reads, t.writes, t.lags} {
		if h != nil {
			h.Reset()
		}
	}
	*t = tally{reads: t.reads, writes: t.writes, lags: t.lags, steps: t.steps[:0]}
}

// did counts an operation that ended some time after the turn began.
func (t *tally) did(o *workload.Operation, took, at time.Duration) {
	if o.Writes || o.Inserts {
		record(&t.writes, took)
	} else {
		record(&t.reads, took)
	}
	step := int(at / stepTime)
	for len(t.steps) <= step {
		t.steps = append(t.steps, 0)
	}
	t.steps[step]++
}

func (t *tally) lagged(by time.Duration) { record(&t.lags, by) }

func (t *tally) failed(err error) {
	t.errors++
	if t.firstError == "" {
		t.firstError = err.Error()
	}
}

func (t *tally) judged(behind time.Duration, promise target.Promise) {
	t.seen++
	if behind <= 0 {
		return
	}
	t.behind++
	t.oldest = max(t.oldest, behind)
	if promise.Breaks(behind) {
		t.stale++
	}
}

// add adds what another has counted.
func (t *tally) add(other *tally) {
	merge(&t.reads, other.reads)
	merge(&t.writes, other.writes)
	merge(&t.lags, other.lags)
	t.errors += other.errors
	if t.firstError == "" {
		t.firstError = other.firstError
	}
	t.seen, t.behind, t.stale = t.seen+other.seen, t.behind+other.behind, t.stale+other.stale
	t.oldest = max(t.oldest, other.oldest)
	for i, n := range other.steps {
		if i == len(t.steps) {
			t.steps = append(t.steps, 0)
		}
		t.steps[i] += n
	}
}

func merge(into **hdrhistogram.Histogram, from *hdrhistogram.Histogram) {
	if from == nil {
		return
	}
	if *into == nil {
		*into = newHistogram()
	}
	(*into).Merge(from)
}

// turn is what was counted in a time.
func (t *tally) turn(took time.Duration) report.Turn {
	r := report.Turn{
		Seconds: took.Seconds(), Errors: t.errors, FirstError: t.firstError, HitRatio: -1,
		Read: latency(t.reads), Write: latency(t.writes), Lag: latency(t.lags),
		Judged: t.seen, Behind: t.behind, Stale: t.stale, OldestMS: float64(t.oldest.Microseconds()) / 1000,
	}
	r.Reads, r.Writes = r.Read.Count, r.Write.Count
	r.PerSecond = float64(r.Reads+r.Writes) / took.Seconds()
	// The last step is not complete.
	together := max(1, (len(t.steps)+stepsMax-1)/stepsMax)
	for i := 0; i+together < len(t.steps); i += together {
		var sum int64
		for _, n := range t.steps[i : i+together] {
			sum += n
		}
		r.Steps = append(r.Steps, float64(sum)/(float64(together)*stepTime.Seconds()))
	}
	return r
}

func latency(h *hdrhistogram.Histogram) report.Latency {
	if h == nil || h.TotalCount() == 0 {
		return report.Latency{}
	}
	at := func(q float64) float64 { return micro(h.ValueAtQuantile(q)) }
	return report.Latency{Count: h.TotalCount(), Mean: h.Mean() * unit.Seconds() * 1e6, P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: micro(h.Max())}
}

func micro(units int64) float64 { return float64(units) * unit.Seconds() * 1e6 }

// quantiles are those of a curve, in percent: ten for each nine.
var quantiles = func() (all []float64) {
	rest := 100.0
	for range 4 {
		for step := range 9 {
			all = append(all, 100-rest+rest*float64(step)/10)
		}
		rest /= 10
	}
	return append(all, 100-rest)
}()

// curve is a distribution for people to look at. A quantile is there only if it is of ten
// operations at least.
func curve(h *hdrhistogram.Histogram) (points []report.Point) {
	if h == nil {
		return nil
	}
	for _, q := range quantiles {
		if (100-q)/100*float64(h.TotalCount()) >= 10 {
			points = append(points, report.Point{Quantile: q / 100, US: micro(h.ValueAtQuantile(q))})
		}
	}
	return points
}

// whole is all turns together. total has their latencies.
func whole(turns []report.Turn, total *tally) report.Turn {
	together := report.Together(turns)
	r := total.turn(max(1, time.Duration(together.Seconds*float64(time.Second))))
	r.Steps, r.HitRatio, r.ProcessorUS = nil, together.HitRatio, together.ProcessorUS
	return r
}
