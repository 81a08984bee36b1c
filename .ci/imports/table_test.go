package main

import (
	"strings"
	"testing"
)

const head = "prose\n\n| package | job | may import of ours |\n|---|---|---|\n"

func TestTable(t *testing.T) {
	t.Parallel()
	rows, err := readTable(head + "| `a` | one | nothing |\n| `b/c` | two | `a`, `b/d` |\n| `e` | three | `a` |\n\n| `f` | another table | `a` |\n")
	if err != nil || len(rows) != 3 {
		t.Fatalf("%v, %v", rows, err)
	}
	of := func(path string, imports ...string) pkg {
		p := pkg{ImportPath: module + "/" + path, Imports: []string{"fmt", "github.com/jackc/pgx/v5"}}
		for _, to := range imports {
			p.Imports = append(p.Imports, module+"/"+to)
		}
		return p
	}
	fits := []pkg{of("a"), of("b/c", "a", "b/d"), of("e", "a")}
	if found := rows.violations(fits); len(found) > 0 {
		t.Errorf("what fits does not: %q", found)
	}
	for says, packages := range map[string][]pkg{
		"./a imports ./e":             {of("a", "e"), fits[1], fits[2]},
		"./b/c imports ./b":           {fits[0], of("b/c", "a", "b/d", "b"), fits[2]},
		"./b/c does not import ./b/d": {fits[0], of("b/c", "a"), fits[2]},
		"./g has no row":              {fits[0], fits[1], fits[2], of("g")},
		"./e has a row":               {fits[0], fits[1]},
	} {
		if found := rows.violations(packages); len(found) != 1 || !strings.HasPrefix(found[0], says) {
			t.Errorf("%q, want %q", found, says)
		}
	}
}

func TestTableThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"none":         "prose",
		"another word": head + "| `a` | one | whatever |\n",
		"a word more":  head + "| `a` | one | nothing but `b` |\n",
		"twice":        head + "| `a` | one | nothing |\n| `a` | two | nothing |\n",
	} {
		if rows, err := readTable(text); err == nil {
			t.Errorf("%s: %v", name, rows)
		}
	}
}
