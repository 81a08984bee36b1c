package standard

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

var freshet = servers.Build("../../sidecar/freshet")

// TestMain runs the tests, or is the echo server that one of them starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == echoYardstick {
		panic(ServeEcho(os.Args[2]))
	}
	goleak.VerifyTestMain(freshet.Removed(servers.Shared(m, servers.Needs{})))
}
