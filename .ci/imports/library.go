package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A program in Go that imports a package of the library links everything that this
// imports in turn. It links nothing of the sidecar, of the tests, or of what only
// these need.

// library are the packages that programs import.
var library = []string{"./cache", "./cache/redis", "./invalidation"}

// notLinked may stand behind none of them.
var notLinked = in("./sidecar", "./loadtest", "github.com/prometheus", "github.com/alecthomas/kong", "github.com/goccy/go-yaml",
	"github.com/lib/pq", "github.com/HdrHistogram", "testing")

// linkedByLibrary lists the packages behind those of the library.
func linkedByLibrary() ([]string, error) {
	command := exec.Command("go", append([]string{"list", "-deps"}, library...)...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list what the library links: %w", err)
	}
	return strings.Fields(string(output)), nil
}

// overweight says which of the packages that the library links it must not link.
func overweight(linked []string) []string {
	var found []string
	for _, p := range linked {
		if to := shorten(p); notLinked(to) {
			found = append(found, fmt.Sprintf("%s is linked by who imports %s", to, strings.Join(library, ", ")))
		}
	}
	return found
}
