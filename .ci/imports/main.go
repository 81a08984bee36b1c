// Command imports checks the directions in which the project's packages may
// import each other and the outside: by the table in docs/architecture.md, which
// names every package and all that each imports of ours, by rules of principle, and
// by what users' programs link. It prints every violation with
// its reason and fails if there is one.
//
// It looks at the imports of production code on this platform, not at tests: a
// test or an example may bring together what the code keeps apart.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

func main() {
	found, err := check()
	if err != nil {
		fmt.Fprintln(os.Stderr, "imports:", err)
		os.Exit(2)
	}
	for _, violation := range found {
		fmt.Fprintln(os.Stderr, "imports:", violation)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// check returns what breaks the rules or the table of the architecture, and what users
// would link for nothing.
func check() ([]string, error) {
	packages, err := list()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return nil, fmt.Errorf("read the table of packages: %w", err)
	}
	table, err := readTable(string(text))
	if err != nil {
		return nil, err
	}
	found := slices.Concat(violations(packages), table.violations(packages))
	for _, p := range products {
		more, err := p.overweight()
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// pkg is the part of go list's output that the rules need.
type pkg struct {
	ImportPath string
	Imports    []string
}

func list() ([]pkg, error) {
	command := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("run go list: %w", err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(output); ; {
		var next pkg
		if err := decoder.Decode(&next); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, errors.Join(fmt.Errorf("read go list: %w", err), command.Wait())
		}
		packages = append(packages, next)
	}
	if err := command.Wait(); err != nil {
		return nil, fmt.Errorf("run go list: %w", err)
	}
	if len(packages) == 0 {
		return nil, errors.New("go list found no packages; run in the top directory")
	}
	return packages, nil
}
