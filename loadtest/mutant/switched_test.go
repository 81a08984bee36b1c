package mutant_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
)

// Of several mutants in one program each makes its own mistake and no other, two of
// them in one place.
func TestSwitchedProgramIsOneMutantAtATime(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module program\n",
		"main.go":    "package main\n\nimport \"program/sum\"\n\nfunc main() {\n\tprint(\"a\")\n\tif sum.Even(2) {\n\t\tprint(\"even\")\n\t}\n}\n",
		"sum/sum.go": "package sum\n\nfunc Even(n int) bool { return n%2 == 0 }\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	program, err := mutant.BuildSwitched(t.Context(), root, t.TempDir(), ".", []mutant.Named{
		{Name: "b", Edits: []mutant.Edit{{File: "main.go", Old: `print("a")`, New: `print("b")`, As: mutant.Statements}}},
		{Name: `say "c"`, Edits: []mutant.Edit{{File: "main.go", Old: `print("a")`, New: `print("c")`, As: mutant.Statements}}},
		{Name: "odd", Edits: []mutant.Edit{
			{File: "sum/sum.go", Old: "n%2 == 0", New: "n%2 == 1", As: mutant.Condition},
			{File: "main.go", Old: `print("even")`, New: "", As: mutant.Statements},
		}},
		{Name: "long", Edits: []mutant.Edit{{File: "main.go", Old: `"even"`, New: `map[bool]string{true: "even!", false: "even"}[mutantIs("long")]`, As: mutant.Switching}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"": "aeven", "b": "beven", `say "c"`: "ceven", "odd": "a", "long": "aeven!", "another": "aeven"} {
		command := exec.Command(program)
		command.Env = append(os.Environ(), mutant.Variable+"="+name)
		if got, err := command.CombinedOutput(); err != nil || string(got) != want {
			t.Errorf("as mutant %q it prints %q, error %v, want %q", name, got, err, want)
		}
	}
}

// The tests of a package hold the mutants of other packages too.
func TestSwitchedTestsAreOneMutantAtATime(t *testing.T) {
	t.Setenv("GOWORK", "off")
	root := writeModule(t)
	const test = "package main\n\nimport (\n\t\"program/left\"\n\t\"testing\"\n)\n\nfunc TestWord(t *testing.T) {\n\tif !left.Is() {\n\t\tt.Fatal()\n\t}\n}\n"
	for name, text := range map[string]string{"left/is.go": "package left\n\nfunc Is() bool { return true }\n", "main_test.go": test} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program, err := mutant.BuildSwitchedTests(t.Context(), root, t.TempDir(), ".", []mutant.Named{
		{Name: "not", Edits: []mutant.Edit{{File: "left/is.go", Old: "return true", New: "return false", As: mutant.Statements}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, passes := range map[string]bool{"": true, "not": false} {
		command := exec.Command(program)
		command.Env = append(os.Environ(), mutant.Variable+"="+name)
		if text, err := command.CombinedOutput(); (err == nil) != passes {
			t.Errorf("as mutant %q the tests end with %v:\n%s", name, err, text)
		}
	}
}

func TestTextCannotBeSwitched(t *testing.T) {
	t.Parallel()
	edits := []mutant.Edit{{File: "left/word.go", Old: "one", New: "1"}}
	if mutant.Switchable(edits) {
		t.Error("any text is switchable")
	}
	_, err := mutant.BuildSwitched(t.Context(), writeModule(t), t.TempDir(), ".", []mutant.Named{{Name: "m", Edits: edits}})
	if err == nil || !strings.Contains(err.Error(), "cannot be switched") {
		t.Errorf("error %v", err)
	}
}
