package cache_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
)

// planted are libraries without one of the rules that keep a read from being stale, and
// the tests that force each.
var planted = []struct {
	mutant.Named
	test, says string
}{
	{mutant.Named{Name: "the process is no session", Edits: []mutant.Edit{{
		File: "cache/db.go", As: mutant.Statements,
		Old: "return &db.own", New: "return new(fence.Session)",
	}}}, "TestNoReadOfTheProcessGoesBack", "went back"},
	{mutant.Named{Name: "what the process writes is not marked", Edits: []mutant.Edit{{
		File: "cache/db_pass.go", As: mutant.Statements,
		Old: "if p.writes {\n\t\tp.db.fence.MarkAll(now)\n\t}", New: "",
	}}}, "TestWriteIsShownToTheProcess", "read"},
	{mutant.Named{Name: "connections prove nothing", Edits: []mutant.Edit{{
		File: "cache/db_load.go", As: mutant.Condition,
		Old: "l.read.state.same(row)", New: "true",
	}}}, "TestConnectionLeftInAnotherState", "of such a connection were kept"},
	{mutant.Named{Name: "what is prepared on any connection is used", Edits: []mutant.Edit{{
		File: "cache/db_prepared.go", As: mutant.Statements,
		Old: "l.preparing = true", New: "l.memo.uses(l.prepared, &pgconn.StatementDescription{Name: l.prepared})",
	}}}, "TestPreparedInAnotherState", "of another state"},
	{mutant.Named{Name: "a statement means what it meant before", Edits: []mutant.Edit{{
		File: "cache/db_load.go", As: mutant.Condition,
		Old: "db.book.Load() == r.book && db.analyzer.Current(r.meaning.Verdict) &&\n\t\tstart.Label.Lower.Includes(db.follower.State().Since())", New: "true",
	}}}, "TestSchemaChangeBetweenMeaningAndLabel", "kept with what the statement meant before"},
	{mutant.Named{Name: "values of dependencies are spelled as they come", Edits: []mutant.Edit{{
		File: "cache/resolution.go", As: mutant.Statements,
		Old: "return analysis.CanonicalInput(typ, v.String())", New: "return v.String(), true",
	}}}, "TestSpellingOfValues", "stale after its row changed"},
	{mutant.Named{Name: "a connection of database/sql keeps no setting", Edits: []mutant.Edit{{
		File: "cache/sql.go", As: mutant.Statements,
		Old: "c.changed = c.changed || !leavesState(sql)", New: "",
	}}}, "TestSQLIsThatOfStdlib", "a connection with a setting of its own"},
}

// TestPlantedStalenessIsFound: the test that forces a rule fails without it.
func TestPlantedStalenessIsFound(t *testing.T) {
	t.Parallel()
	var all []mutant.Named
	for _, p := range planted {
		all = append(all, p.Named)
	}
	program, err := mutant.BuildSwitchedTests(t.Context(), "..", t.TempDir(), "./cache", all)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range planted {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), program, "-test.run", "^"+p.test+"$")
			command.Env = append(os.Environ(), mutant.Variable+"="+p.Name)
			out, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(out), p.says) {
				t.Errorf("%s does not find it, %v:\n%s", p.test, err, out)
			}
		})
	}
}
