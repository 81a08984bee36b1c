package fleet

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

var freshet = servers.Build("../../sidecar/freshet")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(freshet.Removed(servers.Shared(m, servers.Needs{})))
}
