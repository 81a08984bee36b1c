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

// misread are sidecars that answer the reads of prepared statements otherwise than
// Postgres does.
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

// misreadSeed is of scripts of which one of the first fourteen finds each; busy servers may
// have the cache miss what it would have hit, so a few more are played.
const misreadSeed, misreadScripts = 4062, 24

// plainTests are these tests without the race detector, as one program that is any of
// misread, misparted, miscatalogued, outliving, tenantLeaks or roleRules, or none of them. The first test that
// asks for it has it built.
var plainTests plainProgram

type plainProgram struct {
	once         sync.Once
	dir, program string // dir is empty until something is built
	err          error
}

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

// removed returns m with the program removed after its tests.
func (p *plainProgram) removed(m servers.M) servers.M { return removingPlain{p, m} }

type removingPlain struct {
	*plainProgram
	servers.M
}

// Run runs the tests.
func (r removingPlain) Run() int {
	defer func() {
		if r.dir != "" {
			_ = os.RemoveAll(r.dir) // the system clears its temporary files
		}
	}()
	return r.M.Run()
}

// playedPlain plays the test that calls it in plainTests, with the flags of this program, and
// reports that it did, if this program has the race detector: for a test of one session after
// the other, in which there is nothing to detect that others do not show, at a tenth of the
// speed.
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

// TestPlantedMisreadingsAreFound: the random sessions find each of them. This is what
// their word that Postgres would have said the same is worth.
func TestPlantedMisreadingsAreFound(t *testing.T) {
	t.Parallel()
	allFound(t, misread, "TestRandomSessionsAreAnsweredAsPostgresDoes",
		"-random-seed", fmt.Sprint(misreadSeed), "-random-scripts", fmt.Sprint(misreadScripts))
}

// playsMax is how often a test is played until it finds a planted mistake: where the machine lets
// a follower look late, what is read from memory otherwise is read anew, and nothing shows.
const playsMax = 3

// allFound checks that a test of plainTests finds each of the planted mistakes.
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
				t.Errorf("%s %s does not find it, %v:\n%s", test, strings.Join(flags, " "), err, out)
			}
		})
	}
}
