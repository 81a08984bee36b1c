//go:build !race

package drivers

// raceFlag builds the sidecar as these tests are built.
const raceFlag = "-race=false"
