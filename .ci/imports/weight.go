package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A program links everything that its packages import in turn. So what users build or
// install links nothing of the tests and the demo, or of what only these need.

// product is what users link, and what may stand behind none of it.
type product struct {
	packages  []string
	notLinked func(to string) bool
}

// proof is what only tests, checks and the demo need.
var proof = in("./loadtest", "github.com/lib/pq", "github.com/HdrHistogram", "testing")

// daemon is what only the sidecar needs, and telemetry what only who asks for it does.
var (
	daemon    = in("./sidecar", "github.com/prometheus", "github.com/alecthomas/kong", "github.com/goccy/go-yaml")
	telemetry = in("./cache/cacheotel", "go.opentelemetry.io")
)

var products = []product{
	// Programs in Go that import the library need no daemon either.
	{[]string{"./cache", "./cache/redis", "./invalidation"},
		either(either(proof, daemon), telemetry)},
	{[]string{"./cache/cacheotel"},
		either(either(proof, daemon), in("go.opentelemetry.io/otel/sdk"))},
	// Who shows the page links that, and nothing else of the sidecar.
	{[]string{"./cache/dashboard"},
		either(either(proof, telemetry), both(in("./sidecar"), notIn("./sidecar/dashboard", "./sidecar/internal/count", "./sidecar/internal/fleet", "./sidecar/internal/histogram")))},
	// The command, as `make build` and `go install` make it.
	{[]string{"./sidecar/freshet"}, proof},
}

// overweight says which packages a product links that it must not.
func (p product) overweight() ([]string, error) {
	command := exec.Command("go", append([]string{"list", "-deps"}, p.packages...)...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list what %s links: %w", strings.Join(p.packages, ", "), err)
	}
	return p.tooMuch(strings.Fields(string(output))), nil
}

// tooMuch says which of the packages that are linked must not be.
func (p product) tooMuch(linked []string) []string {
	var found []string
	for _, l := range linked {
		if to := shorten(l); p.notLinked(to) {
			found = append(found, fmt.Sprintf("%s is linked by who builds %s", to, strings.Join(p.packages, ", ")))
		}
	}
	return found
}
