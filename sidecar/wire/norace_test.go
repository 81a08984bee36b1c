//go:build !race

package wire

// raceDetector says whether these tests look for races: then pools lose some of what they
// are given.
const raceDetector = false
