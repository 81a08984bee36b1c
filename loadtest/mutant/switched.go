package mutant

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// Variable is the environment variable that names the mutant which a program of
// BuildSwitched is to be. Without it the program makes no mistake.
const Variable = "CODE_MUTANT"

// Named is a mutant under a name.
type Named struct {
	Name  string
	Edits []Edit
}

// Switchable reports whether all edits can be switched while the program runs.
func Switchable(edits []Edit) bool {
	return !slices.ContainsFunc(edits, func(e Edit) bool { return e.As == Text })
}

// BuildSwitched is Build for several mutants in one program, as building is what
// takes long. All of their edits must be Switchable.
func BuildSwitched(ctx context.Context, root, dir, pkg string, mutants []Named) (program string, err error) {
	overlay, err := overlaySwitched(root, dir, mutants)
	if err != nil {
		return "", err
	}
	return build(ctx, root, dir, overlay, "build", pkg)
}

// BuildSwitchedTests is BuildSwitched for the tests of a package, as go test -c builds
// them without vetting what the source has been vetted for.
func BuildSwitchedTests(ctx context.Context, root, dir, pkg string, mutants []Named) (program string, err error) {
	overlay, err := overlaySwitched(root, dir, mutants)
	if err != nil {
		return "", err
	}
	return build(ctx, root, dir, overlay, "test", "-c", "-vet=off", pkg)
}

// switchedText keeps an edit's old text and its new one, of which the name of the
// mutant chooses.
func switchedText(name string, e Edit) (string, error) {
	is := "mutantIs(" + strconv.Quote(name) + ")"
	switch e.As {
	case Statements:
		return "if " + is + " {\n" + e.New + "\n} else {\n" + e.Old + "\n}", nil
	case Switching:
		return e.New, nil
	case Condition:
		return "(" + is + " && (" + e.New + ") || !" + is + " && (" + e.Old + "))", nil
	default:
		return "", fmt.Errorf("change %s for mutant %q: it is any text, which cannot be switched", e.File, name)
	}
}

func overlaySwitched(root, dir string, mutants []Named) (list string, err error) {
	var edits []Edit
	for _, m := range mutants {
		for _, e := range m.Edits {
			if e.New, err = switchedText(m.Name, e); err != nil {
				return "", err
			}
			edits = append(edits, e)
		}
	}
	return overlay(root, dir, edits, addSwitches)
}

// packageClause is where a file names its package.
var packageClause = regexp.MustCompile(`(?m)^package (\w+)$`)

// addSwitches adds the function that the changed files ask to each of their
// packages.
func addSwitches(texts map[string]string) error {
	packages := map[string]string{}
	for path, text := range texts {
		clause := packageClause.FindStringSubmatch(text)
		if clause == nil {
			return fmt.Errorf("change %s: it names no package", path)
		}
		packages[filepath.Dir(path)] = clause[1]
	}
	for dir, name := range packages {
		texts[filepath.Join(dir, "mutant_switch.go")] = fmt.Sprintf(switchSource, name, Variable)
	}
	return nil
}

const switchSource = `package %s

import "os"

var mutantName = os.Getenv("%s")

func mutantIs(name string) bool { return mutantName == name }
`
