package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/freshet/freshet/loadtest/compiling"
)

// Built is the program of a package, which tests build when the first of them asks for it. Its methods may be called concurrently.
type Built struct {
	pkg   string
	flags []string

	once sync.Once
	dir  string // empty until it is built
	err  error
}

// Build returns the program of a package, "." for that in the working directory, to be built
// with flags of go build. Unless these have their own -ldflags, it lacks what debuggers
// read, which takes a third of the time that linking takes.
func Build(pkg string, flags ...string) *Built { return &Built{pkg: pkg, flags: flags} }

// Path returns where the program is. It fails the test if it cannot be built.
func (b *Built) Path(t TB) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "built"); b.err != nil {
			return
		}
		// go keeps the programs that it runs, and cp takes the place of running it: the
		// tests of several packages link a program once.
		arguments := append([]string{"run", "-ldflags=-s", "-exec", "cp"}, b.flags...)
		if text, err := compiling.Go(context.Background(), "", append(arguments, b.pkg, b.path())...); err != nil {
			b.err = fmt.Errorf("build the program: %w\n%s", err, text)
		}
	})
	if b.err != nil {
		t.Fatalf("%v", b.err)
	}
	return b.path()
}

func (b *Built) path() string { return filepath.Join(b.dir, "program") }

// Removed returns m with the program removed after its tests.
func (b *Built) Removed(m M) M { return removing{b, m} }

type removing struct {
	built *Built
	m     M
}

// Run runs the tests.
func (r removing) Run() int {
	defer func() {
		if r.built.dir != "" {
			_ = os.RemoveAll(r.built.dir) // the system clears its temporary files
		}
	}()
	return r.m.Run()
}
