package drivers

import (
	"io"
	"os/exec"
	"testing"
)

// startPiped starts a program that the test goes on talking to. The caller closes stdin and
// waits for the program.
func startPiped(t *testing.T, command *exec.Cmd) (stdin io.WriteCloser, stdout io.Reader) {
	t.Helper()
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err = command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", command.Path, err)
	}
	return stdin, stdout
}
