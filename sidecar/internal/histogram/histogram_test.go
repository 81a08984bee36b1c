package histogram

import (
	"math"
	"testing"
	"time"
)

func TestDurationsFallIntoTheirBuckets(t *testing.T) {
	t.Parallel()
	for i, bound := range Bounds {
		d := time.Duration(math.Round(bound * float64(time.Second)))
		if at, behind := bucketOf(d), bucketOf(d+1); at != i || behind != i+1 {
			t.Errorf("%s is in bucket %d and the next duration in %d, want %d and %d", d, at, behind, i, i+1)
		}
	}
	for _, d := range []time.Duration{-1, 0, 1} {
		if bucketOf(d) != 0 {
			t.Errorf("%d ns is in bucket %d", d, bucketOf(d))
		}
	}
	if bucketOf(math.MaxInt64) != bounded {
		t.Error("what is longest is not in the last bucket")
	}
}

func TestReadings(t *testing.T) {
	t.Parallel()
	var h Histogram
	if q := h.Read().Quantile(0.5); q != 0 {
		t.Errorf("the median of nothing is %v", q)
	}
	h.Observe(20*time.Microsecond, 99)
	before := h.Read()
	h.Observe(3*time.Millisecond, 1)
	r := h.Read()
	if r.Count != 100 || math.Abs(r.SumSeconds-0.00498) > 1e-9 {
		t.Errorf("%d durations of %v s", r.Count, r.SumSeconds)
	}
	if q := r.Quantile(0.5); q <= 16e-6 || q > 32e-6 {
		t.Errorf("the median is %v", q)
	}
	if q := r.Quantile(1); q <= 2048e-6 || q > 4096e-6 {
		t.Errorf("the longest is %v", q)
	}
	if since := r.Since(before); since.Count != 1 || since.Buckets[8] != 1 {
		t.Errorf("since then: %+v", since)
	}
	if since := r.Since(Reading{}); since.Count != 100 {
		t.Errorf("since the start: %+v", since)
	}
	cumulative := r.Cumulative()
	if cumulative[Bounds[0]] != 0 || cumulative[Bounds[1]] != 99 || cumulative[Bounds[bounded-1]] != 100 {
		t.Errorf("cumulative: %v", cumulative)
	}
	h.Observe(time.Hour, 1)
	if q := h.Read().Quantile(1); q != Bounds[bounded-1] {
		t.Errorf("longer than all bounds: %v", q)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(1000, func() { h.Observe(time.Millisecond, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An age is in the bucket whose bounds it lies between, and the sum is that of the ages.
func TestAges(t *testing.T) {
	t.Parallel()
	var a Ages
	for _, age := range []time.Duration{time.Millisecond, 10 * time.Second, 10 * time.Second, time.Hour, 100 * time.Hour} {
		a.Observe(age)
	}
	r := a.Read()
	for i, n := range r.Buckets {
		want := map[int]uint64{0: 1, 10: 2, 18: 1, bounded: 1}[i]
		if n != want {
			t.Errorf("bucket %d holds %d, want %d", i, n, want)
		}
	}
	if AgeBounds[9] > 10 || AgeBounds[10] < 10 || r.Count != 5 || r.SumSeconds < 363619 || r.SumSeconds > 363621 {
		t.Errorf("bounds %v, %+v", AgeBounds, r)
	}
	if half := r.Quantile(.5); half < AgeBounds[9] || half > AgeBounds[10] {
		t.Errorf("half are below %v", half)
	}
	if at := r.Since(Reading{}).Cumulative()[AgeBounds[10]]; at != 3 {
		t.Errorf("%d up to %v", at, AgeBounds[10])
	}
}
