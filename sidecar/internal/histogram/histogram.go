// Package histogram counts durations in buckets whose bounds double, from 16 µs to 8 s:
// fine enough for quantiles on a logarithmic axis, and so few that an observation is two
// atomic additions. Ages counts what takes a thousand times as long.
//
// A Histogram may be used concurrently. A Reading is a value.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// shortest is the bound of the first bucket, bounded how many have a bound: the last
	// bucket holds what is longer.
	shortest = 16 * time.Microsecond
	bounded  = 20
)

// Bounds are the upper bounds of all buckets but the last, in seconds.
var Bounds = bounds()

func bounds() []float64 {
	all := make([]float64, bounded)
	for i := range all {
		all[i] = (shortest << i).Seconds()
	}
	return all
}

// Histogram counts durations. The zero value has counted none. It must not be copied.
type Histogram struct {
	buckets [bounded + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Observe counts n times a duration.
func (h *Histogram) Observe(d time.Duration, n int) {
	h.buckets[bucketOf(d)].Add(uint64(n))
	h.sum.Add(int64(d) * int64(n))
}

// bucketOf is the index of the first bucket whose bound is not below d.
func bucketOf(d time.Duration) int {
	if d <= shortest {
		return 0
	}
	return min(bits.Len64(uint64((d-1)/shortest)), bounded)
}

// Reading is what was counted up to a moment.
type Reading struct {
	// Buckets counts by bucket; each duration is in one.
	Buckets []uint64 `json:"buckets"`
	Count   uint64   `json:"count"`
	// SumSeconds is the sum of all.
	SumSeconds float64 `json:"sum_seconds"`
	// bounds are those of the buckets but the last; nil stands for Bounds.
	bounds []float64
}

func (r Reading) boundsOf() []float64 {
	if r.bounds == nil {
		return Bounds
	}
	return r.bounds
}

// Read reads it.
func (h *Histogram) Read() Reading {
	r := Reading{Buckets: make([]uint64, bounded+1), SumSeconds: time.Duration(h.sum.Load()).Seconds()}
	for i := range r.Buckets {
		r.Buckets[i] = h.buckets[i].Load()
		r.Count += r.Buckets[i]
	}
	return r
}

// Since is what was counted between an earlier reading and r.
func (r Reading) Since(earlier Reading) Reading {
	d := Reading{Buckets: make([]uint64, len(r.Buckets)), Count: r.Count - earlier.Count, SumSeconds: r.SumSeconds - earlier.SumSeconds, bounds: r.bounds}
	copy(d.Buckets, r.Buckets)
	for i, n := range earlier.Buckets[:min(len(earlier.Buckets), len(d.Buckets))] {
		d.Buckets[i] -= n
	}
	return d
}

// Quantile estimates the duration that a share q of all did not exceed, in seconds: 0 if
// there are none, and the largest bound for what is longer.
func (r Reading) Quantile(q float64) float64 {
	rank, below, bounds := q*float64(r.Count), 0.0, r.boundsOf()
	if r.Count == 0 {
		return 0
	}
	for i, n := range r.Buckets {
		if here := float64(n); here > 0 && below+here >= rank {
			if i == bounded {
				break
			}
			from := 0.0
			if i > 0 {
				from = bounds[i-1]
			}
			return from + (bounds[i]-from)*max(rank-below, 0)/here
		}
		below += float64(n)
	}
	return bounds[bounded-1]
}

// Cumulative counts by bound what does not exceed it.
func (r Reading) Cumulative() map[float64]uint64 {
	all, sum := make(map[float64]uint64, bounded), uint64(0)
	for i, bound := range r.boundsOf() {
		if i < len(r.Buckets) {
			sum += r.Buckets[i]
		}
		all[bound] = sum
	}
	return all
}
