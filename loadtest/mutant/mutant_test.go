package mutant_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/mutant"
)

// module is a program in which two files have one name.
var module = map[string]string{
	"go.mod":        "module program\n",
	"main.go":       "package main\n\nimport (\n\t\"program/left\"\n\t\"program/right\"\n)\n\nfunc main() { print(left.Word, right.Word) }\n",
	"left/word.go":  "package left\n\nconst Word = \"one\" + \" two\"\n",
	"right/word.go": "package right\n\nconst Word = \" three\"\n",
}

func writeModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range module {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// prints runs the program and returns what it prints.
func prints(t *testing.T, root string, flags ...string) string {
	t.Helper()
	command := exec.Command("go", append(append([]string{"run"}, flags...), ".")...)
	command.Dir = root
	command.Env = append(os.Environ(), "GOWORK=off")
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return string(text)
}

// A mutant holds all its changes: several of one file, each seeing those before
// it, and those of files that have one name. The source holds none.
func TestOverlayHoldsEveryChange(t *testing.T) {
	t.Parallel()
	root := writeModule(t)
	overlay, err := mutant.Overlay(root, t.TempDir(), []mutant.Edit{
		{File: "left/word.go", Old: `"one"`, New: `"1" + ""`},
		{File: "right/word.go", Old: "three", New: "3"},
		{File: "left/word.go", Old: `"" + " two"`, New: `" 2"`},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := prints(t, root, "-overlay", overlay); got != "1 2 3" {
		t.Errorf("the mutant prints %q", got)
	}
	if got := prints(t, root); got != "one two three" {
		t.Errorf("the source prints %q", got)
	}
}

// go may run in another directory than the test.
func TestOverlayOfARelativeRoot(t *testing.T) {
	root := writeModule(t)
	t.Chdir(filepath.Join(root, "left"))
	overlay, err := mutant.Overlay("..", t.TempDir(), []mutant.Edit{{File: "left/word.go", Old: "one", New: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := prints(t, root, "-overlay", overlay); got != "1 two three" {
		t.Errorf("the mutant prints %q", got)
	}
}

func TestOverlayOfWhatIsNotThereOnce(t *testing.T) {
	t.Parallel()
	root := writeModule(t)
	for name, c := range map[string]struct {
		edits []mutant.Edit
		says  []string
	}{
		"nowhere":   {[]mutant.Edit{{File: "left/word.go", Old: "four", New: "4"}}, []string{"left/word.go", "0 times", "the rule has moved, so must the mutant", "four"}},
		"twice":     {[]mutant.Edit{{File: "main.go", Old: "program/", New: ""}}, []string{"main.go", "2 times", "the rule has moved, so must the mutant", "program/"}},
		"taken":     {[]mutant.Edit{{File: "left/word.go", Old: "one", New: "1"}, {File: "left/word.go", Old: "one", New: "I"}}, []string{"left/word.go", "0 times"}},
		"no file":   {[]mutant.Edit{{File: "middle/word.go", Old: "one", New: "1"}}, []string{"read source", filepath.Join("middle", "word.go")}},
		"no change": {[]mutant.Edit{{File: "left/word.go"}}, []string{"left/word.go", "want once"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := mutant.Overlay(root, dir, c.edits)
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error lacks %q: %v", text, err)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("the directory holds %v, error %v", left, err)
			}
		})
	}
}
