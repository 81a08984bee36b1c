package servers

import (
	"os"
	"path/filepath"
	"testing"
)

// ownRun returns a run directory of the test's own, and where PostgreSQL's programs are.
func ownRun(t *testing.T) (run *runDir, binDir string) {
	t.Helper()
	run, err := acquireRunDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.release() })
	if binDir, err = FindPostgres(); err != nil {
		t.Fatal(err)
	}
	return run, binDir
}

// A process copies the cluster of the one that started it, if that is of the same
// PostgreSQL and still there. It sets environment variables, so it is not parallel.
func TestTemplateIsInherited(t *testing.T) {
	run, binDir := ownRun(t)
	parents := t.TempDir()
	if err := os.WriteFile(filepath.Join(parents, "mark"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		template string
		copied   bool
	}{
		"there":                 {binDir + ":" + parents, true},
		"gone":                  {binDir + ":" + filepath.Join(parents, "gone"), false},
		"of another PostgreSQL": {"/other" + binDir + ":" + parents, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(envTemplate, c.template)
			home, err := run.newServerDir()
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(home, "data")
			if err := run.makeTemplate(t.Context(), binDir, dir); err != nil {
				t.Fatal(err)
			}
			_, err = os.Stat(filepath.Join(dir, "mark"))
			if copied := err == nil; copied != c.copied {
				t.Errorf("copied is %v, want %v", copied, c.copied)
			}
			_, err = os.Stat(filepath.Join(dir, "PG_VERSION"))
			if made := err == nil; made == c.copied {
				t.Errorf("initdb made a cluster: %v, want %v", made, !c.copied)
			}
		})
	}
}

// Nobody inherits what is about to be removed.
func TestTemplateIsDisinherited(t *testing.T) {
	t.Setenv(envTemplate, "")
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := bequeath("/bin", dir); err != nil {
		t.Fatal(err)
	}
	if got := inherited("/bin"); got != dir {
		t.Errorf("inherited is %q, want %q", got, dir)
	}
	of := template{made: map[string]string{"/bin": dir}}
	of.disinherit()
	if got := inherited("/bin"); got != "" {
		t.Errorf("%q is inherited of a template that is removed", got)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("who copies it finds it there: %v", err)
	}
}

// What initdb has made is there for the next process, which copies it; another PostgreSQL's
// stands beside it. It sets environment variables, so it is not parallel.
func TestTemplateIsKept(t *testing.T) {
	caches := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", caches)
	t.Setenv("HOME", caches)
	run, binDir := ownRun(t)
	dir, err := run.keptTemplate(t.Context(), binDir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		t.Errorf("initdb has made no cluster: %v", err)
	}
	if beside, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(beside) != 1 {
		t.Errorf("beside it are %v, error %v", beside, err)
	}
	mark := filepath.Join(dir, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := run.keptTemplate(t.Context(), binDir)
	if _, marked := os.Stat(mark); err != nil || again != dir || marked != nil {
		t.Errorf("it is made again, in %q after %q: %v, %v", again, dir, err, marked)
	}
	// Another process was slower: steps 2 and 4 of keep.
	slower := t.TempDir()
	if err := os.WriteFile(filepath.Join(slower, "PG_VERSION"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keep(slower, dir); err != nil {
		t.Errorf("who is slower fails: %v", err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("who is slower replaces what others copy: %v", err)
	}
	if beside, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(beside) != 1 {
		t.Errorf("who is slower leaves %v, error %v", beside, err)
	}
	// An upgrade puts other programs there.
	upgraded := t.TempDir()
	if err := os.WriteFile(filepath.Join(upgraded, "postgres"), []byte("newer"), 0o700); err != nil {
		t.Fatal(err)
	}
	if other, err := keptPath(upgraded); err != nil || other == dir || filepath.Dir(other) != filepath.Dir(dir) {
		t.Errorf("the other one's is %q, error %v", other, err)
	}

	of := template{made: map[string]string{binDir: dir}}
	of.disinherit()
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("it ends with the process: %v", err)
	}
}
