package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// page is one document.
type page struct {
	root  string
	path  string // below root
	tests map[string]bool
}

var (
	code = regexp.MustCompile("`([^`\n]+)`")
	// testName and filePath recognize what stands in backquotes: a test, and a file
	// with a directory, from the top of the repository.
	testName = regexp.MustCompile(`^(?:Test|Benchmark|Fuzz)[A-Z]\w*$`)
	filePath = regexp.MustCompile(`^[\w.][\w.-]*(?:/[\w.-]+)+\.(?:go|sql|md|html|py|js)$`)
	link     = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	cell     = regexp.MustCompile(`(?i)^\s*tests?\s*$`)
)

// violations are the names of this document that name nothing, and the rows of
// tables with a column for tests that have none.
func (p page) violations(text string) []string {
	var found []string
	complain := func(format string, arguments ...any) {
		found = append(found, p.path+": "+fmt.Sprintf(format, arguments...))
	}
	for _, quoted := range code.FindAllStringSubmatch(text, -1) {
		name := quoted[1]
		switch {
		case testName.MatchString(name) && !p.tests[name]:
			complain("there is no test %s", name)
		case filePath.MatchString(name) && !p.exists(name):
			complain("there is no file %s", name)
		}
	}
	for _, target := range link.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(target[1], ":") && !p.exists(filepath.Join(filepath.Dir(p.path), target[1])) {
			complain("the link to %s leads nowhere", target[1])
		}
	}
	for _, row := range rowsWithoutTest(text) {
		complain("the claim names no test: %s", row)
	}
	return found
}

func (p page) exists(path string) bool {
	_, err := os.Stat(filepath.Join(p.root, path))
	return err == nil
}

// rowsWithoutTest are the rows of tables whose head has a cell "test", and whose
// cell in that column names none.
func rowsWithoutTest(text string) []string {
	column, separator := -1, false
	var rows []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			column = -1
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		switch {
		case column == -1:
			if column = columnOfTests(cells); column == -1 {
				column = len(cells) // not a table of claims
			}
			separator = true
		case separator:
			separator = false
		case column < len(cells) && !namesTest(cells[column]):
			rows = append(rows, strings.TrimSpace(cells[0]))
		}
	}
	return rows
}

func columnOfTests(head []string) int {
	for i, c := range head {
		if cell.MatchString(c) {
			return i
		}
	}
	return -1
}

func namesTest(text string) bool {
	for _, quoted := range code.FindAllStringSubmatch(text, -1) {
		if testName.MatchString(quoted[1]) {
			return true
		}
	}
	return false
}
