package footprint

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Shared(m, servers.Needs{})) }

// Everything is measured that the report tells, with little of each.
func TestRunMeasures(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "freshet")
	if text, err := exec.Command("go", "build", "-ldflags=-w", "-o", program, "../../sidecar/freshet").CombinedOutput(); err != nil {
		t.Fatalf("build freshet: %v\n%s", err, text)
	}
	r, err := Run(t.Context(), Options{Program: program, Memory: "8MiB", Small: 200, Large: 64, Clients: 3, Churn: 200 * time.Millisecond, Progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Begun == 0 || r.SmallKept == 0 || r.SmallCounted <= r.SmallPayload || r.Limit != 8<<20 || r.ChurnReads == 0 || r.Clients != 3 {
		t.Errorf("measured %+v", r)
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), "of the limit of 8.0 MiB") {
		t.Errorf("%v\n%s", err, &text)
	}
}
