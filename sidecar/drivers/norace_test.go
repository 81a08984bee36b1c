//go:build !race

package drivers

// raceFlag builds watchedProgram as these tests are built.
const raceFlag = "-race=false"
