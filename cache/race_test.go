//go:build race

package cache

// RaceDetector says whether these tests look for races: then pools lose some of what they
// are given, and allocations are not counted.
const RaceDetector = true
