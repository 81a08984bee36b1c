package check

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// The exit codes of command loadtest.
const (
	exitKept   = 0
	exitBroken = 1
)

// testsAtOnce is how many tests run at once: scriptsAtOnce, those that run the checker, and
// those that build mutants meanwhile.
const testsAtOnce = scriptsAtOnce + 3

// The servers of scripts are copies of one, which is there until the last script has ended.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(freshetProgram.Removed(loadtestProgram.Removed(servers.Shared(played{m}, servers.Needs{AtOnce: testsAtOnce}))))
}

// ground is where scripts are played.
var ground = new(Ground)

// played closes the ground behind the tests.
type played struct{ m servers.M }

// Run runs the tests.
func (p played) Run() (code int) {
	code = p.m.Run()
	if err := ground.Close(); err != nil {
		fmt.Println(err)
		code = 1
	}
	return code
}

// The product, and the command that checks it.
var (
	freshetProgram  = servers.Build("../../sidecar/freshet")
	loadtestProgram = servers.Build("..")
)

// builtBefore is the product if another process of these tests has built it.
var builtBefore = flag.String("freshet", "", "the program freshet; empty: it is built")

// product is the path of the product.
func product(t *testing.T) string {
	t.Helper()
	if *builtBefore != "" {
		return *builtBefore
	}
	return freshetProgram.Path(t)
}

// runMax bounds one run of the command.
const runMax = 5 * time.Minute

// run runs loadtest check and returns its report. It must end with the code.
func run(t *testing.T, code int, arguments ...string) Report {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), runMax)
	defer cancel()
	text, err := exec.CommandContext(ctx, loadtestProgram.Path(t), append([]string{"check", "--json", file}, arguments...)...).CombinedOutput()
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
