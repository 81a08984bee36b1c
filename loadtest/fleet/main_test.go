package fleet

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// program builds freshet.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "freshet")
	if text, err := exec.Command("go", "build", "-ldflags=-w", "-o", path, "../../sidecar/freshet").CombinedOutput(); err != nil {
		t.Fatalf("build freshet: %v\n%s", err, text)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Shared(m, servers.Needs{})) }
