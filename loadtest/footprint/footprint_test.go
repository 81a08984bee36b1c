package footprint

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

var freshet = servers.Build("../../sidecar/freshet")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(freshet.Removed(servers.Shared(m, servers.Needs{})))
}

// Everything is measured that the report tells, with little of each.
func TestRunMeasures(t *testing.T) {
	t.Parallel()
	r, err := Run(t.Context(), Options{Program: freshet.Path(t), Memory: "8MiB", Small: 200, Large: 64, Clients: 3, Churn: 200 * time.Millisecond, Progress: func(string) {}})
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
