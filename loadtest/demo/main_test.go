package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// buildDir holds the built program while the tests run.
var buildDir string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(withBuildDir{servers.Shared(m, servers.Needs{})})
}

// withBuildDir gives the tests of m a directory for the program.
type withBuildDir struct{ m servers.M }

// Run runs the tests.
func (w withBuildDir) Run() int {
	var err error
	if buildDir, err = os.MkdirTemp("", "demo"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(buildDir)
	return w.m.Run()
}

// buildOnce builds the program once for all tests.
var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "demo")
	text, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", errors.New(string(text))
	}
	return path, nil
})

// binary returns the path of the built program.
func binary(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
