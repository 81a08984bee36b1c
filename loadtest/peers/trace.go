package main

import "math/rand/v2"

// A trace is a sequence of keys that readers ask for, the same in each run.
type trace struct {
	name string
	keys []uint32
}

const (
	// keyCount is how many keys a trace is about, and readCount how long it is.
	keyCount  = 100_000
	readCount = 1_000_000
	// zipfExponent is that of the popularity of keys.
	zipfExponent = 1.01
	traceSeed    = 1
)

// traces are those that the peers are compared on.
func traces() []trace {
	return []trace{
		{"zipf 1.01", zipf()},
		{"scan-polluted", polluted()},
		{"shifting", shifting()},
	}
}

// popularity draws keys by their popularity, the most popular being 0.
func popularity() func() uint32 {
	r := rand.New(rand.NewPCG(traceSeed, traceSeed))
	z := rand.NewZipf(r, zipfExponent, 1, keyCount-1)
	return func() uint32 { return uint32(z.Uint64()) }
}

func zipf() []uint32 {
	draw, keys := popularity(), make([]uint32, readCount)
	for i := range keys {
		keys[i] = draw()
	}
	return keys
}

// polluted is zipf with a report in between: after each scanEvery reads, scanLength keys
// that nobody else asks for are read once, one after the other.
func polluted() []uint32 {
	const scanEvery, scanLength = 20_000, 10_000
	draw, keys, next := popularity(), make([]uint32, 0, readCount), uint32(keyCount)
	for len(keys) < readCount {
		for range scanEvery {
			keys = append(keys, draw())
		}
		for range scanLength {
			keys = append(keys, next)
			next++
		}
	}
	return keys[:readCount]
}

// shifting is zipf whose popular keys are others after each shiftEvery reads: news, and
// what is sold today.
func shifting() []uint32 {
	const shiftEvery, shiftBy = 100_000, 7_919
	draw, keys := popularity(), make([]uint32, readCount)
	for i := range keys {
		keys[i] = (draw() + uint32(i/shiftEvery)*shiftBy) % keyCount
	}
	return keys
}
