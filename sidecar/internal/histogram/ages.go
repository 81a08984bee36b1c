package histogram

import "time"

// ageShift is by how many powers of two an age is larger than the duration that it is counted as.
const ageShift = 10

// AgeBounds are the upper bounds of the buckets of Ages but of the last, in seconds: from 16 ms to
// two hours and a half.
var AgeBounds = ageBounds()

func ageBounds() []float64 {
	all := make([]float64, bounded)
	for i, bound := range Bounds {
		all[i] = bound * (1 << ageShift)
	}
	return all
}

// Ages is a Histogram of ages. The zero value has counted none. It must not be copied.
type Ages struct{ h Histogram }

// Observe counts one.
func (a *Ages) Observe(age time.Duration) { a.h.Observe(age>>ageShift, 1) }

// Read reads it. The bounds are AgeBounds.
func (a *Ages) Read() Reading {
	r := a.h.Read()
	r.SumSeconds *= 1 << ageShift
	r.bounds = AgeBounds
	return r
}
