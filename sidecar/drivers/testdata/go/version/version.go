// Package version says of which versions a program is made.
package version

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// Print prints the versions of modules.
func Print(modules ...string) {
	info, _ := debug.ReadBuildInfo()
	var versions []string
	for _, module := range modules {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				versions = append(versions, dependency.Version)
			}
		}
	}
	fmt.Println(strings.Join(versions, " with "))
}
