package drivers

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

// scratch is a directory for the tests of one run of this package.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "drivers"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(cleaning{servers.Shared(m, servers.Needs{Postgres: true, Redis: true})})
}

// cleaning removes the scratch directory after the tests, and prints what they
// measured.
type cleaning struct{ servers.M }

func (c cleaning) Run() int {
	defer os.RemoveAll(scratch)
	defer printMeasured(os.Stdout)
	return c.M.Run()
}
