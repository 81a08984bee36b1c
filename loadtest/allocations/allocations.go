// Package allocations counts what a function allocates beside goroutines that allocate too.
package allocations

import "testing"

// seriesMax is how many series there are at most.
const seriesMax = 5

// Fewest returns what a call of f allocates on average in the quietest of a few series, each of
// so many calls; a series without any is the last. testing.AllocsPerRun counts what the whole
// process allocates: a follower that looks beside, the more often the longer a series takes,
// is in it. What f itself allocates is in every series.
func Fewest(calls int, f func()) float64 {
	fewest := testing.AllocsPerRun(calls, f)
	for series := 1; series < seriesMax && fewest > 0; series++ {
		fewest = min(fewest, testing.AllocsPerRun(calls, f))
	}
	return fewest
}
