// Command docs checks that what the documents name is there: every test,
// benchmark and file. A claim whose test is gone is no claim any more. It prints
// every violation and fails if there is one.
//
// It reads the documents of the top directory and those in docs/, and for the tests that they name
// the comments of Go code that is no test. What a test asserts is for people to read.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	found, err := check(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(2)
	}
	for _, violation := range found {
		fmt.Fprintln(os.Stderr, "docs:", violation)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// check reads the documents of the tree at root.
func check(root string) ([]string, error) {
	tests, err := testsIn(root)
	if err != nil {
		return nil, err
	}
	documents, err := documentsIn(root)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, document := range documents {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			return nil, fmt.Errorf("read a document: %w", err)
		}
		d := page{root: root, path: document, tests: tests}
		found = append(found, d.violations(string(text))...)
	}
	inComments, err := namedInComments(root, tests)
	return append(found, inComments...), err
}

var (
	// comment is a line of a comment, unless it is code of an example there.
	comment  = regexp.MustCompile(`(?m)^\s*//(?:[^\t\n].*)?$`)
	testWord = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w*`)
)

// namedInComments finds the tests that comments of our own code name, where that is no test itself,
// and that there are not.
func namedInComments(root string, tests map[string]bool) (found []string, err error) {
	err = eachFile(root, func(path string) error {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, line := range comment.FindAllString(string(text), -1) {
			for _, name := range testWord.FindAllString(line, -1) {
				if !tests[name] {
					found = append(found, fmt.Sprintf("%s: there is no test %s", path, name))
				}
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the comments: %w", err)
	}
	return found, nil
}

// eachFile calls do with the path of each file of ours.
func eachFile(root string, do func(path string) error) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules" || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		return do(path)
	})
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz|Example)\w*)\(`)

// testsIn finds the tests in all of our own code.
func testsIn(root string) (map[string]bool, error) {
	tests := map[string]bool{}
	err := eachFile(root, func(path string) error {
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, function := range testFunction.FindAllStringSubmatch(string(text), -1) {
			tests[function[1]] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tests: %w", err)
	}
	return tests, nil
}

// documentsIn finds the documents, as paths below root.
func documentsIn(root string) ([]string, error) {
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		return nil, fmt.Errorf("list the documents: %w", err)
	}
	var documents []string
	for _, path := range top {
		documents = append(documents, filepath.Base(path))
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		document, err := filepath.Rel(root, path)
		documents = append(documents, document)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the documents: %w", err)
	}
	return documents, nil
}
