package check

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/mutant"
)

// root is the top of the source tree.
func root(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// scriptsAtOnce is how many scripts are played at a time: they wait more than they
// work.
const scriptsAtOnce = 2

// stages lets so many tests go on at a time, whatever -parallel says.
var stages = make(chan struct{}, scriptsAtOnce)

// onStage runs the rest of a test beside others of its kind.
func onStage(t *testing.T) {
	t.Parallel()
	stages <- struct{}{}
	t.Cleanup(func() { <-stages })
}

func testName(name string) string { return strings.ReplaceAll(name, " ", "-") }

// Each text that a mutant replaces stands in the source, once: who changes one has to
// change the mutant too, and is told so at once.
func TestMutantsFitTheSource(t *testing.T) {
	t.Parallel()
	all := namedLibraryMutants()
	for _, m := range Mutants() {
		all = append(all, mutant.Named{Name: m.Name, Edits: m.Edits})
	}
	for _, m := range all {
		if _, err := mutant.Overlay(root(t), t.TempDir(), m.Edits); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

// Every rule taken away is found missing, by a script that forces what the rule is
// there for. This is what the checker's word that nothing is broken is worth.
func TestMutantsAreCaught(t *testing.T) {
	t.Parallel()
	began := time.Now()
	together, err := BuildSwitched(t.Context(), root(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("built in %v", time.Since(began))
	for _, m := range Mutants() {
		t.Run(testName(m.Name), func(t *testing.T) {
			onStage(t)
			program := together
			if !m.Switchable() {
				var err error
				if program, err = m.Build(t.Context(), root(t), t.TempDir()); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			found, err := m.Force(t.Context(), program, ground)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("found out after %v: %s", time.Since(began), found)
		})
	}
}

// The scripts accuse nobody who keeps the rules, and are played to their ends.
func TestScriptsFindNothingWrongWithTheProduct(t *testing.T) {
	t.Parallel()
	freshet := product(t)
	for _, s := range Scripts() {
		t.Run(testName(s.Name), func(t *testing.T) {
			onStage(t)
			report, err := s.Play(t.Context(), Options{Program: freshet}, ground)
			if err != nil {
				t.Fatal(err)
			}
			if report.Violations != 0 || report.Reads == 0 {
				t.Errorf("%d violations in %d reads: %q", report.Violations, report.Reads, report.Examples)
			}
			t.Logf("%d reads in %v", report.Reads, report.Duration)
		})
	}
}
