package probe

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true, UnsteadyRoles: true}))
}
