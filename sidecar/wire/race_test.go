//go:build race

package wire

// raceDetector reports whether the tests run with the race detector, under which a sync.Pool
// drops some of the objects that are put into it.
const raceDetector = true
