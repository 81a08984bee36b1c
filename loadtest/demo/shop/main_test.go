package shop

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{
		Postgres: true, UnsteadyRoles: true,
		PostgresOptions: servers.PostgresOptions{Settings: map[string]string{
			"shared_preload_libraries": "pg_stat_statements",
			"max_connections":          "100",
		}},
	}))
}
