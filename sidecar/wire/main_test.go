package wire

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(plainTests.removed(servers.Shared(m, servers.Needs{
		Postgres: true, Redis: true,
		PostgresOptions: servers.PostgresOptions{Settings: map[string]string{"max_connections": "700"}},
	})))
}
