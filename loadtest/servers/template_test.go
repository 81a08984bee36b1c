package servers

import (
	"os"
	"path/filepath"
	"testing"
)

// A process copies the cluster of the one that started it, if that is of the same
// PostgreSQL and still there. It sets environment variables, so it is not parallel.
func TestTemplateIsInherited(t *testing.T) {
	run, err := acquireRunDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.release() })
	binDir, err := FindPostgres()
	if err != nil {
		t.Fatal(err)
	}
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
