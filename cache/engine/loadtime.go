package engine

import (
	"sync/atomic"
	"time"
)

// loadTimesMax is how many shapes the times of loads are remembered for, a power
// of two. Shapes that share a place are guessed alike, which costs speed only.
const loadTimesMax = 1 << 12

// loadTimes remember how long loads take.
type loadTimes [loadTimesMax]atomic.Int64

// expect returns how long a load of a shape will take, zero if that is unknown.
func (t *loadTimes) expect(shape uint64) time.Duration {
	return time.Duration(t[shape%loadTimesMax].Load())
}

// note remembers how long a load took. One long load counts until several short
// ones have come after it.
func (t *loadTimes) note(shape uint64, took time.Duration) {
	place := &t[shape%loadTimesMax]
	place.Store(max(int64(took), place.Load()/2, 1))
}

// belittle makes the loads of a shape count as short until one is noted: they
// bring nothing that others could use.
func (t *loadTimes) belittle(shape uint64) { t[shape%loadTimesMax].Store(1) }
