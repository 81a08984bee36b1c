package check

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
)

// libraryMutants are the library without a rule, and the scripts that force each. The
// library runs in the checker's process, so it is the tests of this package that are built
// with the mistake.
var libraryMutants = []struct {
	mutant.Named
	script string
	breaks Promise
}{
	{mutant.Named{Name: "the process is no session", Edits: []mutant.Edit{{
		File: "cache/db.go", As: mutant.Statements,
		Old: "return &db.own", New: "return new(fence.Session)",
	}}}, "a process reads on after what it was shown", Across},
	{mutant.Named{Name: "what the process writes is not noted", Edits: []mutant.Edit{{
		File: "cache/db_pass.go", As: mutant.Statements,
		Old: "if p.writes {\n\t\tp.db.fence.MarkAll(now)\n\t}\n\tp.session.Received(now)", New: "",
	}}}, "a process reads what it wrote", OwnWrites},
	{mutant.Named{Name: "values of dependencies are spelled as they come", Edits: []mutant.Edit{{
		File: "cache/resolution.go", As: mutant.Statements,
		Old: "return analysis.CanonicalInput(typ, v.String())", New: "return v.String(), true",
	}}}, "a process reads by other spellings what it wrote", OwnWrites},
	{mutant.Named{Name: "connections prove nothing", Edits: []mutant.Edit{{
		File: "cache/db_load.go", As: mutant.Condition,
		Old: "l.read.state.same(row)", New: "true",
	}}}, "a connection of the pool is left in another state", OwnWrites},
}

// namedLibraryMutants are the libraryMutants without their scripts.
func namedLibraryMutants() (all []mutant.Named) {
	for _, m := range libraryMutants {
		all = append(all, m.Named)
	}
	return all
}

// Each rule of the library is found missing by a script, as those of the sidecar are.
func TestLibraryMutantsAreCaught(t *testing.T) {
	t.Parallel()
	all := namedLibraryMutants()
	tests, err := mutant.BuildSwitchedTests(t.Context(), root(t), t.TempDir(), "./loadtest/check", all)
	if err != nil {
		t.Fatal(err)
	}
	freshet := product(t)
	for _, m := range libraryMutants {
		t.Run(testName(m.Name), func(t *testing.T) {
			onStage(t)
			command := exec.CommandContext(t.Context(), tests, "-freshet", freshet,
				"-test.run", "^TestScriptsFindNothingWrongWithTheProduct$/^"+testName(m.script)+"$")
			command.Env = append(os.Environ(), mutant.Variable+"="+m.Name)
			out, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(out), " violations in ") || !strings.Contains(string(out), string(m.breaks)) {
				t.Errorf("%q does not find it, %v:\n%s", m.script, err, out)
			}
		})
	}
}
