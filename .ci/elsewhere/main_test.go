package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module writes the files of a module, and returns where.
func module(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files["go.mod"] = "module example\n\ngo 1.24\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What is right here and wrong elsewhere is found where it stands, in packages and in their
// tests, and nothing else is.
func TestWhatIsWrongElsewhereIsFound(t *testing.T) {
	t.Parallel()
	const linux = "package clock\n\nimport \"syscall\"\n\nfunc Now() int64 { var t syscall.Timespec; _ = syscall.Dup3; return t.Sec }\n"
	const other = "//go:build !linux\n\npackage clock\n\nimport \"time\"\n\nfunc Now() int64 { return time.Now().Unix() }\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  []string // nil: nothing is wrong
	}{
		"all well": {files: map[string]string{"clock/other.go": other}},
		"the function is missing": {
			files: map[string]string{"clock/other.go": "//go:build !linux\n\npackage clock\n"},
			want:  []string{"undefined: clock.Now"},
		},
		"another type": {
			files: map[string]string{"clock/other.go": strings.ReplaceAll(other, "int64 { return", "int { return")},
			want:  []string{"cannot use time.Now().Unix()", "mismatched types int and int64"},
		},
		"a call that only Linux has": {
			files: map[string]string{"clock/other.go": strings.ReplaceAll(linux, "package clock", "//go:build !linux\n\npackage clock")},
			want:  []string{"undefined: syscall.Dup3"},
		},
		"in a test": {
			files: map[string]string{"clock/other.go": other, "clock/own_test.go": "package clock\n\nimport (\n\t\"syscall\"\n\t\"testing\"\n)\n\nfunc TestNow(t *testing.T) { _ = syscall.Dup3 }\n"},
			want:  []string{"own_test.go"},
		},
		"in a test from outside": {
			files: map[string]string{"clock/other.go": other, "clock/outer_test.go": "package clock_test\n\nimport (\n\t\"syscall\"\n\t\"testing\"\n\n\t\"example/clock\"\n)\n\nfunc TestNow(t *testing.T) { _, _ = clock.Now(), syscall.Dup3 }\n"},
			want:  []string{"outer_test.go"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.files["clock/clock_linux.go"] = linux
			c.files["main.go"] = "package main\n\nimport \"example/clock\"\n\nfunc main() { println(clock.Now() + int64(1)) }\n"
			dir := module(t, c.files)
			if problems, err := check(dir, "linux"); err != nil || len(problems) > 0 {
				t.Errorf("on Linux: %q, %v", problems, err)
			}
			problems, err := check(dir, "darwin")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(problems, c.want, strings.Contains) {
				t.Errorf("found %q, want %q", problems, c.want)
			}
		})
	}
}
