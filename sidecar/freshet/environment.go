package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// environmentPrefix begins the variables that options stand in.
const environmentPrefix = "FRESHET_"

// otherVariables begin like ours and are no options: they say where the servers of
// the demo and of the tests come from, and have to be no error here.
var otherVariables = []string{"FRESHET_SERVERS_DIR", "FRESHET_SERVERS_TEMPLATE", "FRESHET_PG_BIN", "FRESHET_REDIS_SERVER", "FRESHET_POSTGRES_DIR"}

// environmentProblem is what checkEnvironment found, for a command that tells it itself.
type environmentProblem struct{ error }

// checkEnvironment returns an error for each variable that no option of any command
// has: what was misspelled would be left out in silence.
func checkEnvironment(root *kong.Node, environment []string) error {
	known := slices.Clone(otherVariables)
	for _, command := range root.Leaves(false) {
		for _, flag := range command.Flags {
			known = append(known, flag.Envs...)
		}
	}
	var problems []error
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, environmentPrefix) || slices.Contains(known, name) {
			continue
		}
		if near := nearest(name, known); near != "" {
			problems = append(problems, usage("the environment has %s, which is no option: did you mean %s? Unset it otherwise", name, near))
		} else {
			problems = append(problems, usage("the environment has %s, which is no option of any command: freshet serve --help lists them; unset it", name))
		}
	}
	return errors.Join(problems...)
}
