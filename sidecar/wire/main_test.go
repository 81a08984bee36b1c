package wire

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// testsAtOnce is how many tests run at once: most wait for servers, for a sidecar to follow or for
// a child, and two of them would leave the processors idle.
const testsAtOnce = 6

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(plainTests.removed(servers.Shared(lentBedsClosed(m), servers.Needs{
		Postgres: true, Redis: true, AtOnce: testsAtOnce,
		PostgresOptions: servers.PostgresOptions{Settings: map[string]string{"max_connections": "700"}},
	})))
}
