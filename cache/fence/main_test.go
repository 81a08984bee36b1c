package fence

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	// More than rapid's own 100; its flag still has the last word.
	if err := flag.Set("rapid.checks", "1000"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Postgres: true}))
}
