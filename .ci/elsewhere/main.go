// Command elsewhere checks that every package of modules and its tests are right Go for
// another operating system: that what they import, name and call is there, with the types
// that it is used with. It makes no code, as compiling and vetting would for each library
// too, which takes forty times as long.
//
//	go run ./.ci/elsewhere darwin                    this module
//	go run ./.ci/elsewhere darwin . loadtest/peers   the modules of these directories
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: elsewhere GOOS [DIRECTORY...]")
		os.Exit(2)
	}
	modules := os.Args[2:]
	if len(modules) == 0 {
		modules = []string{"."}
	}
	var problems []string
	for _, dir := range modules {
		wrong, err := check(dir, os.Args[1])
		if err != nil {
			fmt.Fprintf(os.Stderr, "elsewhere: %s: %v\n", dir, err)
			os.Exit(1)
		}
		problems = append(problems, wrong...)
	}
	for _, p := range problems {
		fmt.Println(p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// listed is what go list says of a package, or of a package as one test builds it.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string // where an import is of another path than it says
	DepOnly    bool              // others need it, and nobody asked for it
	Module     *struct{ GoVersion string }
}

// list returns the packages of the module at dir and all that these import, each behind
// what it imports.
func list(dir, system string) ([]listed, error) {
	command := exec.Command("go", "list", "-deps", "-test", "-json=ImportPath,Dir,GoFiles,ImportMap,DepOnly,Module", "./...")
	command.Dir, command.Stderr = dir, os.Stderr
	command.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p listed
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		packages = append(packages, p)
	}
}

// check returns what is wrong with the packages of the module at dir for a system.
func check(dir, system string) (problems []string, err error) {
	packages, err := list(dir, system)
	if err != nil {
		return nil, err
	}
	c := checker{files: token.NewFileSet(), known: map[string]*types.Package{"unsafe": types.Unsafe}}
	for _, p := range packages {
		if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") { // which go makes
			continue
		}
		problems = append(problems, c.check(p)...)
	}
	slices.Sort(problems) // each stands there once for every test that the package is built for
	return slices.Compact(problems), nil
}

// checker knows the packages that it has checked, by the paths that go list gives them.
type checker struct {
	files *token.FileSet
	known map[string]*types.Package
}

// check returns what is wrong with one package. Of those that others need alone, what
// functions do is not looked at.
func (c *checker) check(p listed) (problems []string) {
	note := func(err error) {
		if !p.DepOnly {
			problems = append(problems, err.Error())
		}
	}
	var files []*ast.File
	for _, name := range p.GoFiles {
		if !filepath.IsAbs(name) {
			name = filepath.Join(p.Dir, name)
		}
		file, err := parser.ParseFile(c.files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			note(err)
			continue
		}
		files = append(files, file)
	}
	config := types.Config{
		IgnoreFuncBodies: p.DepOnly, Importer: importer{c, p.ImportMap}, Error: note,
		Sizes: types.SizesFor("gc", "arm64"),
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	path, _, _ := strings.Cut(p.ImportPath, " ") // behind it stands which test builds it
	c.known[p.ImportPath], _ = config.Check(path, c.files, files, nil)
	return problems
}

// importer finds what one package imports.
type importer struct {
	*checker
	paths map[string]string
}

// Import returns a package that was checked.
func (i importer) Import(path string) (*types.Package, error) {
	if other, ok := i.paths[path]; ok {
		path = other
	}
	if p := i.known[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("package %s is not there", path)
}
