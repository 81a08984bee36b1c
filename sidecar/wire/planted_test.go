package wire

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
	"github.com/freshet/freshet/loadtest/servers"
)

// misread are planted mistakes: sidecars that answer reads, most of prepared statements, otherwise
// than Postgres does.
var misread = []mutant.Named{
	{Name: "the settings at Parse are ignored", Edits: []mutant.Edit{{
		File: "sidecar/internal/statements/parsetime.go", As: mutant.Condition,
		Old: "p.Statement == nil || !p.Statement.KeepsSettings || p.epoch == s.epoch",
		New: "true",
	}}},
	{Name: "a Parse that is held back is not sent before a SET", Edits: []mutant.Edit{{
		File: "sidecar/wire/heldback.go", As: mutant.Condition,
		Old: "p == nil || s.talk.MidGroup()",
		New: "true",
	}}},
	{Name: "a late description is not compared", Edits: []mutant.Edit{{
		File: "sidecar/wire/heldback.go", As: mutant.Condition,
		Old: "told == nil || told.Own",
		New: "true",
	}}},
	{Name: "the plan of an earlier Parse is used", Edits: []mutant.Edit{{
		File: "sidecar/internal/statements/set.go", As: mutant.Condition,
		Old: "p != nil && p == s.parsedAgain && p == s.held && !p.Failed.Load()",
		New: "false",
	}}},
	{Name: "a statement refused is taken for gone", Edits: []mutant.Edit{{
		File: "sidecar/internal/statements/set.go", As: mutant.Statements,
		Old: "s.held, s.lastHeld = &Prepared{}, nil",
		New: "s.held, s.lastHeld = nil, nil",
	}}},
	{Name: "a transaction that has written is taken for one that has read", Edits: []mutant.Edit{{
		File: "sidecar/internal/conversation/standing.go", As: mutant.Condition,
		Old: "c.status == protocol.StatusInBlock && !c.dirty && !c.disturbed &&\n\t\tc.written.Nothing() && !c.written.Definitions && !c.written.Roles",
		New: "c.status == protocol.StatusInBlock",
	}}},
}

// misreadSeed makes scripts the first fourteen of which find all mistakes of misread. Of these
// misreadScripts are played, a few more: on a busy machine the cache may miss where it would have
// hit, and a script then finds nothing.
const misreadSeed, misreadScripts = 4062, 24

// plainTests is a program of this package's tests without the race detector, and with the planted
// mistakes misread, misparted, miscatalogued, outliving, tenantLeaks and roleRules, of which the
// environment switches on one or none. The first test that asks for the program has it built.
var plainTests plainProgram

type plainProgram struct {
	once         sync.Once
	dir, program string // dir is empty until something is built
	err          error
}

// path is that of the program, which is built when it is first asked for.
func (p *plainProgram) path(t *testing.T) string {
	t.Helper()
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "plain"); p.err == nil {
			p.program, p.err = mutant.BuildSwitchedTests(context.Background(), "../..", p.dir, "./sidecar/wire", slices.Concat(misread, misparted, miscatalogued, outliving, tenantLeaks, roleRules))
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.program
}

// removed returns m with a Run that removes the program behind the tests.
func (p *plainProgram) removed(m servers.M) servers.M { return removingPlain{p, m} }

type removingPlain struct {
	*plainProgram
	servers.M
}

// Run runs the tests and removes the program.
func (r removingPlain) Run() int {
	defer func() {
		if r.dir != "" {
			_ = os.RemoveAll(r.dir) // the system clears its temporary files
		}
	}()
	return r.M.Run()
}

// playedPlain, if this program has the race detector, plays the test that calls it in plainTests,
// with the flags of this program, and returns true; otherwise it returns false. It is for tests
// that have one session ask after the other: under the race detector they take ten times as long,
// and show no race that other tests do not show.
func playedPlain(t *testing.T) bool {
	t.Helper()
	if !raceDetector {
		return false
	}
	arguments := []string{"-test.run", "^" + t.Name() + "$", fmt.Sprintf("-test.v=%v", testing.Verbose())}
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") {
			arguments = append(arguments, "-"+f.Name+"="+f.Value.String())
		}
	})
	out, err := exec.CommandContext(t.Context(), plainTests.path(t), arguments...).CombinedOutput()
	if err != nil {
		t.Errorf("without the race detector: %v", err)
	}
	t.Logf("%s", out)
	return true
}

// TestRandomSessionsAreAnsweredAsPostgresDoes fails with each mistake of misread: without this,
// that it passes would say little.
func TestPlantedMisreadingsAreFound(t *testing.T) {
	t.Parallel()
	allFound(t, misread, "TestRandomSessionsAreAnsweredAsPostgresDoes",
		"-random-seed", fmt.Sprint(misreadSeed), "-random-scripts", fmt.Sprint(misreadScripts))
}

// playsMax is how often a test is played at most until it finds a planted mistake: where a busy
// machine lets the follower look late, reads that would hit are loaded anew, and the mistake does
// not show.
const playsMax = 3

// allFound requires that a test of plainTests fails, with an answer that differs, for each of the
// planted mistakes.
func allFound(t *testing.T, planted []mutant.Named, test string, flags ...string) {
	t.Helper()
	program := plainTests.path(t)
	for _, m := range planted {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var out []byte
			var err error
			for range playsMax {
				command := exec.CommandContext(t.Context(), program, append([]string{"-test.run", "^" + test + "$"}, flags...)...)
				command.Env = append(os.Environ(), mutant.Variable+"="+m.Name)
				if out, err = command.CombinedOutput(); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(string(out), "the sidecar says") {
				t.Errorf("%s %s does not find the mistake in %d plays, the last ends with %v:\n%s", test, strings.Join(flags, " "), playsMax, err, out)
			}
		})
	}
}
