package check

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The exit codes of command loadtest.
const (
	exitKept   = 0
	exitBroken = 1
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(cleaning{m}) }

// cleaning removes what was built when the tests are over.
type cleaning struct{ m *testing.M }

// Run runs the tests.
func (c cleaning) Run() int {
	defer func() {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
	}()
	return c.m.Run()
}

// built are the programs that several tests use.
var built struct {
	once              sync.Once
	dir               string
	freshet, loadtest string
}

// builtBefore is where they are if another process of these tests has built them.
var builtBefore = flag.String("programs", "", "a folder with the programs freshet and loadtest; empty: they are built")

// programs builds the product and the command once.
func programs(t *testing.T) (freshet, loadtest string) {
	t.Helper()
	built.once.Do(func() {
		if dir := *builtBefore; dir != "" {
			built.freshet, built.loadtest = filepath.Join(dir, "freshet"), filepath.Join(dir, "loadtest")
			return
		}
		dir, err := os.MkdirTemp("", "check")
		if err != nil {
			t.Fatal(err)
		}
		built.dir = dir
		for name, pkg := range map[string]string{"freshet": "./sidecar/freshet", "loadtest": "./loadtest"} {
			command := exec.Command("go", "build", "-ldflags=-w", "-o", filepath.Join(dir, name), pkg)
			command.Dir = root(t)
			if text, err := command.CombinedOutput(); err != nil {
				t.Fatalf("build %s: %v\n%s", pkg, err, text)
			}
		}
		built.freshet, built.loadtest = filepath.Join(dir, "freshet"), filepath.Join(dir, "loadtest")
	})
	if built.freshet == "" {
		t.Fatal("the programs were not built")
	}
	return built.freshet, built.loadtest
}

// runMax bounds one run of the command.
const runMax = 5 * time.Minute

// run runs loadtest check and returns its report. It must end with the code.
func run(t *testing.T, code int, arguments ...string) Report {
	t.Helper()
	_, loadtest := programs(t)
	file := filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), runMax)
	defer cancel()
	text, err := exec.CommandContext(ctx, loadtest, append([]string{"check", "--json", file}, arguments...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != code {
		t.Fatalf("loadtest check %s ended with %d, want %d; it said:\n%s", strings.Join(arguments, " "), got, code, text)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// brokenPromises are the promises that a report finds broken.
func brokenPromises(r Report) []Promise {
	var broken []Promise
	for _, p := range Promises {
		if r.Row(p, All).Violations > 0 {
			broken = append(broken, p)
		}
	}
	return broken
}
