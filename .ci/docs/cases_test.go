package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

// casesMax is the number of cases in docs/protocol.md.
const casesMax = 48

// TestEveryCaseHasItsTest holds the list of cases to the tests: each has a row, in
// order, and the row names a test that carries its number.
func TestEveryCaseHasItsTest(t *testing.T) {
	tests, err := testsIn("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != casesMax {
		t.Fatalf("docs/protocol.md lists %d cases, want %d", len(rows), casesMax)
	}
	for i, row := range rows {
		number := fmt.Sprint(i + 1)
		named := regexp.MustCompile("`(TestCase0?" + number + `[A-Z]\w*)` + "`").FindStringSubmatch(row[0])
		if row[1] != number || named == nil || !tests[named[1]] {
			t.Errorf("the row of case %s names no test of that number: %s", number, row[0])
		}
	}
}
