package load

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// built is the sidecar's program, made when the first test asks for it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of freshet.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "freshet"); built.err != nil {
			return
		}
		text, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "freshet"), "../../sidecar/freshet").CombinedOutput()
		if built.err = err; err != nil {
			t.Logf("%s", text)
		}
	})
	if built.err != nil {
		t.Fatalf("build freshet: %v", built.err)
	}
	return filepath.Join(built.dir, "freshet")
}

// removing removes the program after the tests.
type removing struct{ m servers.M }

func (r removing) Run() int {
	defer func() {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir) // the system clears its temporary files
		}
	}()
	return r.m.Run()
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(removing{servers.Shared(m, servers.Needs{})})
}
