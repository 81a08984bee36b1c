//go:build race

package fence

// raceDetector says whether these tests look for races.
const raceDetector = true
