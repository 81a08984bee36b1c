package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// moreBytesMax is how much larger a program may become by the library.
const moreBytesMax = 6 << 20

// Who takes the library in a pool's place gets a program that is little larger.
func TestSizeOfAProgram(t *testing.T) {
	t.Parallel()
	pool, library := size(t, "pool"), size(t, "library")
	t.Logf("%d bytes with a pool alone, %d with the library", pool, library)
	if library-pool > moreBytesMax {
		t.Errorf("the library makes a program %d bytes larger, at most %d", library-pool, moreBytesMax)
	}
}

// size is that of a program, without what debuggers need.
func size(t *testing.T, program string) int64 {
	t.Helper()
	into := filepath.Join(t.TempDir(), program)
	command := exec.Command("go", "build", "-ldflags=-s -w", "-o", into, "./testdata/"+program)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	built, err := os.Stat(into)
	if err != nil {
		t.Fatal(err)
	}
	return built.Size()
}
