package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// program is the demo, as it is started by who tries it.
var program = servers.Build(".")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(program.Removed(servers.Shared(m, servers.Needs{})))
}
