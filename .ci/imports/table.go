package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// document is where the table of packages stands.
const document = "docs/architecture.md"

// table is what each package may import of ours, by the document, all as relative
// paths.
type table map[string][]string

var (
	tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\|([^|]+)\\|$")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// readTable finds the table's rows: | `package` | job | what it may import of ours |.
// The last column holds packages in backquotes, or "nothing".
func readTable(text string) (table, error) {
	_, text, found := strings.Cut(text, "| package | job | may import of ours |\n")
	if !found {
		return nil, fmt.Errorf("%s has no table of packages any more", document)
	}
	text, _, _ = strings.Cut(text, "\n\n")
	rows := table{}
	for _, row := range tableRow.FindAllStringSubmatch(text, -1) {
		from, cell := "./"+row[1], strings.TrimSpace(row[2])
		var of []string
		for _, to := range quoted.FindAllStringSubmatch(cell, -1) {
			of = append(of, "./"+to[1])
		}
		want := ""
		if len(of) == 0 {
			want = "nothing"
		}
		if strings.Trim(quoted.ReplaceAllString(cell, ""), ", ") != want {
			return nil, fmt.Errorf("%s: the row of %s says %q: name packages, or nothing", document, row[1], cell)
		}
		if _, twice := rows[from]; twice {
			return nil, fmt.Errorf("%s has two rows of %s", document, row[1])
		}
		rows[from] = of
	}
	return rows, nil
}

// violations compares the table with the packages: each has a row, each row has a
// package, and what is imported of ours stands in the row, and the other way round.
func (t table) violations(packages []pkg) []string {
	var found []string
	rows := maps.Clone(t)
	for _, p := range packages {
		from := shorten(p.ImportPath)
		row, known := rows[from]
		if !known {
			found = append(found, fmt.Sprintf("%s has no row in the table of %s", from, document))
			continue
		}
		delete(rows, from)
		unused := slices.Clone(row)
		for _, imported := range p.Imports {
			to := shorten(imported)
			if in(".")(to) || strings.HasPrefix(to, "./") {
				if !slices.Contains(row, to) {
					found = append(found, fmt.Sprintf("%s imports %s: its row in %s does not say so", from, to, document))
				}
				unused = slices.DeleteFunc(unused, func(name string) bool { return name == to })
			}
		}
		for _, to := range unused {
			found = append(found, fmt.Sprintf("%s does not import %s, as its row in %s says", from, to, document))
		}
	}
	for _, from := range slices.Sorted(maps.Keys(rows)) {
		found = append(found, fmt.Sprintf("%s has a row in %s, and is no package", from, document))
	}
	return found
}
