package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes files below a directory that is gone after the test.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWhatIsNamedMustExist(t *testing.T) {
	base := map[string]string{
		"README.md":      "[docs](docs/a.md), [web](https://example.com/x.md), `go test`, `a/b`",
		"a/a.go":         "package a\n\nfunc TestNotInATest() {}\n",
		"a/a_test.go":    "package a\n\nfunc TestHere(t *testing.T) {}\nfunc BenchmarkHere(b *testing.B) {}\n",
		"docs/b.md":      "",
		"docs/deep/c.md": "[up](../a.md#part)",
		".git/x_test.go": "func TestInGit(t *testing.T) {}\n",
		"docs/a.md":      "",
	}
	for text, want := range map[string]string{
		"`TestHere` and `BenchmarkHere` in `a/a.go`": "",
		"`TestGone`":                  "no test TestGone",
		"`TestInGit`":                 "no test TestInGit",
		"`TestNotInATest`":            "no test TestNotInATest",
		"`FuzzGone`":                  "no test FuzzGone",
		"`a/gone.go`":                 "no file a/gone.go",
		"`invalidation/schema/x.sql`": "no file invalidation/schema/x.sql",
		"[b](b.md) [here](#there)":    "",
		"[b](gone.md)":                "link to gone.md",
		"| claim | test |\n|---|---|\n| one | `TestHere` |\n| two | see there |": "names no test: two",
		"| claim | test |\n|---|---|\n| one | `TestHere`, or not |":              "",
		"| what | how |\n|---|---|\n| one | two |":                               "",
		"| a | b |\n|---|---|\n| x | y |\n\n| Tests | c |\n|---|---|\n| - | z |": "names no test: -",
	} {
		files := map[string]string{}
		for name, content := range base {
			files[name] = content
		}
		files["docs/a.md"] = text
		found, err := check(tree(t, files))
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && len(found) > 0 || want != "" && !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, want) }) || len(found) > 1 {
			t.Errorf("%s\nfound %q, want %q", text, found, want)
		}
	}
}

func TestWhatCommentsNameMustExist(t *testing.T) {
	for comment, want := range map[string]int{"Forced by TestHere.": 0, "TestGone, and TestHere": 1, "Forced by\n\t// BenchmarkGone.": 1, "Tests and Testing": 0, "\n//\tfunc TestExample(t *testing.T)": 0} {
		found, err := check(tree(t, map[string]string{
			"docs/a.md":       "",
			"a/a.go":          "package a\n\n\t// " + comment + "\nvar text = `TestInText`\n",
			"a/a_test.go":     "package a\n\n// TestElsewhere\nfunc TestHere(t *testing.T) {}\n",
			"a/testdata/b.go": "// TestData\n",
		}))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != want {
			t.Errorf("%s: found %q, want %d", comment, found, want)
		}
	}
}
