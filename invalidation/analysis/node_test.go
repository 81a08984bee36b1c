package analysis

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadTree(t *testing.T) {
	tree, err := readTree("({QUERY :a <> :b {VAR :c -7 :d true} :e (o 1 2) \n:f 4 [ 7 0 -61 ] :g \"x\\ y\" :h \\<> :i ()})")
	if err != nil {
		t.Fatal(err)
	}
	n := tree.(list)[0].(*node)
	v := n.child("b")
	switch {
	case n.tag != "QUERY" || v.tag != "VAR":
		t.Errorf("tags %s, %s", n.tag, v.tag)
	case n.field("a") != nil:
		t.Error("<> is not nil")
	case v.int("c") != -7 || !v.bool("d"):
		t.Error("scalars")
	case len(n.oids("e")) != 2 || n.oids("e")[1] != 2:
		t.Errorf("oids %v", n.oids("e"))
	case string(n.field("f").(datum)) != "\x07\x00\xc3":
		t.Errorf("datum %x", n.field("f"))
	case n.name("g") != `"x y"`:
		t.Errorf("name %q", n.name("g"))
	case n.name("h") != "<>":
		t.Errorf("escaped <> reads %q", n.name("h"))
	case len(n.list("i")) != 0:
		t.Error("empty list")
	}
}

func TestReadTreeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Reason
	}{
		"nothing":         {"", ReasonUnknownNode},
		"cut short":       {"({QUERY :a ", ReasonUnknownNode},
		"open list":       {"(1 2", ReasonUnknownNode},
		"two values":      {"({QUERY :a 1 2})", ReasonUnknownNode},
		"no field name":   {"({QUERY a 1})", ReasonUnknownNode},
		"trailing":        {"(1) 2", ReasonUnknownNode},
		"open datum":      {"({A :v 4 [ 1 2", ReasonUnknownNode},
		"odd datum":       {"({A :v 4 [ 1 x ]})", ReasonUnknownNode},
		"datum too big":   {"({A :v 4 [ 256 ]})", ReasonUnknownNode},
		"too deep":        {strings.Repeat("( ", 1000), ReasonTooComplex},
		"too long":        {strings.Repeat("( ", treeBytesMax), ReasonTooComplex},
		"torn identifier": {"({A :n " + strings.Repeat("x", 78) + "\nx})", ReasonUnknownNode},
	} {
		_, err := readTree(c.text)
		var no *refusal
		if !errors.As(err, &no) || no.reason != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// A field that is missing must never read as a zero, which would mean something.
func TestMissingFieldsAreRefused(t *testing.T) {
	n := &node{tag: "VAR", fields: []field{{"x", list{}}}}
	for name, read := range map[string]func(){
		"int":   func() { n.int("varno") },
		"oid":   func() { n.oid("vartype") },
		"bool":  func() { n.bool("inh") },
		"name":  func() { n.name("ctename") },
		"child": func() { n.child("arg") },
		"nodes": func() { n.nodes("args") },
		"oids":  func() { n.oids("opnos") },
		"kind":  func() { n.int("x") },
	} {
		func() {
			var err error
			defer func() {
				if err == nil {
					t.Errorf("%s: read something from nothing", name)
				}
			}()
			defer catch(&err)
			read()
		}()
	}
}

// savedTrees are dumps by the oldest and the newest server, by file name.
func savedTrees(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/trees/*")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d saved trees: %v", len(files), err)
	}
	trees := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		trees[filepath.Base(name)] = string(text)
	}
	return trees
}

// derive finds the guards of a dump without a server.
func derive(text string) (found map[*node][]map[int]guard, err error) {
	defer catch(&err)
	tree, err := readTree(text)
	if err != nil {
		return nil, err
	}
	query, err := onlyQuery(tree)
	if err != nil {
		return nil, err
	}
	if _, err := collect(query); err != nil {
		return nil, err
	}
	d := &deriver{
		found:         map[*node][]map[int]guard{},
		literal:       func(int) (int, bool) { return 0, false },
		deterministic: func(uint32) bool { return true },
	}
	d.query(query, nil, nil)
	return d.found, nil
}

// Servers that are not at hand are tested by what they once printed.
func TestSavedTrees(t *testing.T) {
	want := map[string]int{"joins": 2, "subqueries": 3}
	for name, text := range savedTrees(t) {
		found, err := derive(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		query, _, _ := strings.Cut(name, ".")
		guarded := 0
		for _, visits := range found {
			for _, guards := range visits {
				if len(guards) > 0 {
					guarded++
				}
			}
		}
		if guarded != want[query] {
			t.Errorf("%s: %d guarded occurrences, want %d", name, guarded, want[query])
		}
	}
}

// FuzzTree holds everything that reads a dump to this: no panic, and no verdict
// from what is not a whole tree.
func FuzzTree(f *testing.F) {
	f.Add("({QUERY :commandType 1 :utilityStmt <> :cteList <> :rtable <> :jointree {FROMEXPR :fromlist <> :quals <>}})")
	f.Add("({QUERY :a (b 1) :f 4 [ 7 0 ] :g \\<>})")
	for _, text := range savedTrees(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := derive(text)
		var no *refusal
		if err != nil && !errors.As(err, &no) {
			t.Fatal(err)
		}
	})
}
