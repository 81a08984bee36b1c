package main

import (
	"fmt"
	"path"
	"strings"
)

const module = "github.com/freshet/freshet"

// rule forbids imports. Our own paths are written relative to the module, from
// "./" on; all others in full.
type rule struct {
	applies func(from string) bool
	forbids func(to string) bool
	reason  string
}

var rules = []rule{
	{
		applies: in("./cache/fence"),
		forbids: in(".", "net", "os", "database/sql", "github.com/jackc/pgx", "github.com/redis/go-redis"),
		reason:  "the fence is pure: it decides, others do I/O",
	},
	{
		applies: notIn("./cache/memory"),
		forbids: in("github.com/dgraph-io/ristretto"),
		reason:  "only cache/memory knows Ristretto",
	},
	{
		applies: notIn("./cache/redis"),
		forbids: in("github.com/redis/go-redis"),
		reason:  "only cache/redis knows go-redis",
	},
	{
		applies: notIn("./cache/cacheotel", "./sidecar/internal/otlp"),
		forbids: in("go.opentelemetry.io"),
		reason:  "only cache/cacheotel and sidecar/internal/otlp know OpenTelemetry",
	},
	{
		applies: in("./cache/engine", "./cache/fence", "./cache/memory", "./cache/redis"),
		forbids: in("./invalidation"),
		reason:  "the tiers are told what changed, they do not know by whom",
	},
	{
		applies: in("./cache/engine"),
		forbids: both(in("."), notIn("./cache/fence", "./cache/memory", "./cache/internal")),
		reason:  "the engine decides what is served; who loads, and from where, is its callers' matter",
	},
	{
		applies: both(in("./cache"), notIn("./cache/dashboard")),
		forbids: in("./sidecar", "./loadtest"),
		reason:  "who uses the library links no daemon and no harness",
	},
	{
		applies: in("./cache/dashboard"),
		forbids: both(in("./sidecar", "./loadtest"), notIn("./sidecar/dashboard")),
		reason:  "of the sidecar a program may show the page, and no more",
	},
	{
		applies: in("./sidecar"),
		forbids: same("./cache"),
		reason:  "the sidecar relays bytes through cache/engine; wrapped functions are for programs in Go",
	},
	{
		applies: in("./invalidation"),
		forbids: both(in("."), notIn("./cache/fence", "./invalidation")),
		reason:  "invalidation feeds the fence and knows no cache and no sidecar",
	},
	{
		applies: in("./sidecar", "./invalidation"),
		forbids: in("./loadtest"),
		reason:  "the product links no harness, no demo and no proof",
	},
	{
		applies: independent,
		forbids: in("./cache", "./invalidation", "./sidecar"),
		reason:  "servers and checkers share no code with what they check",
	},
	{
		applies: in("."),
		forbids: in("./sidecar/freshet"),
		reason:  "main only wires; nothing builds on it",
	},
}

// independent is true for the harness and for every checker of the load test.
func independent(from string) bool {
	return in("./loadtest/allocations", "./loadtest/compiling", "./loadtest/servers", "./loadtest/mutant")(from) ||
		in("./loadtest")(from) && strings.HasPrefix(path.Base(from), "check")
}

// violations applies the rules to every import.
func violations(packages []pkg) []string {
	var found []string
	for _, p := range packages {
		from := shorten(p.ImportPath)
		for _, imported := range p.Imports {
			to := shorten(imported)
			for _, r := range rules {
				if from != to && !ownSubpackage(from, to) && r.applies(from) && r.forbids(to) {
					found = append(found, fmt.Sprintf("%s imports %s: %s", from, to, r.reason))
				}
			}
		}
	}
	return found
}

// ownSubpackage is true where a package imports what stands below it: parts of
// sidecar/freshet may be its own.
func ownSubpackage(from, to string) bool {
	return in("./sidecar/freshet")(from) && in("./sidecar/freshet")(to)
}

// shorten writes our paths relative to the module.
func shorten(importPath string) string {
	if importPath == module {
		return "."
	}
	if below, ours := strings.CutPrefix(importPath, module+"/"); ours {
		return "./" + below
	}
	return importPath
}

// in is true for the given paths and all below them.
func in(roots ...string) func(string) bool {
	return func(importPath string) bool {
		for _, root := range roots {
			if importPath == root || strings.HasPrefix(importPath, root+"/") {
				return true
			}
		}
		return false
	}
}

// same is true for one path alone.
func same(one string) func(string) bool {
	return func(importPath string) bool { return importPath == one }
}

func notIn(roots ...string) func(string) bool {
	inside := in(roots...)
	return func(importPath string) bool { return !inside(importPath) }
}

func both(one, two func(string) bool) func(string) bool {
	return func(importPath string) bool { return one(importPath) && two(importPath) }
}

func either(one, two func(string) bool) func(string) bool {
	return func(importPath string) bool { return one(importPath) || two(importPath) }
}
