package main

import "testing"

func TestRules(t *testing.T) {
	const ristretto, goRedis = "github.com/dgraph-io/ristretto/v2", "github.com/redis/go-redis/v9"
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{module + "/cache/fence", "fmt", true},
		{module + "/cache/fence", "golang.org/x/sys/unix", true},
		{module + "/cache/fence", "os", false},
		{module + "/cache/fence", "net/http", false},
		{module + "/cache/fence", "database/sql", false},
		{module + "/cache/fence", "github.com/jackc/pgx/v5", false},
		{module + "/cache/fence", module + "/cache", false},
		{module + "/cache/memory", ristretto, true},
		{module + "/cache/memory", module + "/cache/fence", true},
		{module + "/cache", ristretto, false},
		{module + "/sidecar/wire", ristretto + "/z", false},
		{module + "/cache/redis", goRedis, true},
		{module + "/sidecar/freshet", goRedis, false},
		{module + "/cache", module + "/cache/memory", true},
		{module + "/cache", module + "/cache/engine", true},
		{module + "/cache", module + "/invalidation", true},
		{module + "/cache", module + "/sidecar/wire", false},
		{module + "/cache/engine", module + "/cache/fence", true},
		{module + "/cache/engine", module + "/cache/memory", true},
		{module + "/cache/engine", module + "/cache/redis", false},
		{module + "/cache/engine", module + "/cache", false},
		{module + "/cache/engine", module + "/invalidation", false},
		{module + "/cache/redis", module + "/sidecar/wire", false},
		{module + "/cache", module + "/loadtest/servers", false},
		{module + "/invalidation", module + "/cache/fence", true},
		{module + "/invalidation", module + "/invalidation/schema", true},
		{module + "/invalidation", "github.com/jackc/pgx/v5", true},
		{module + "/invalidation", module + "/cache", false},
		{module + "/invalidation", module + "/loadtest/servers", false},
		{module + "/sidecar/wire", module + "/cache/engine", true},
		{module + "/sidecar/wire", module + "/cache", false},
		{module + "/sidecar/wire", module + "/invalidation", true},
		{module + "/sidecar/freshet", module + "/sidecar/run", true},
		{module + "/sidecar/freshet", module + "/loadtest/servers", false},
		{module + "/sidecar/run", module + "/loadtest/demo/shop", false},
		{module + "/sidecar/run", module + "/sidecar/freshet", false},
		{module + "/loadtest/demo", module + "/sidecar/run", true},
		{module + "/sidecar/freshet", module + "/sidecar/freshet/top", true},
		{module + "/sidecar/wire", module + "/sidecar/freshet", false},
		{module + "/loadtest", module + "/sidecar/freshet", false},
		{module + "/loadtest/servers", "github.com/jackc/pgx/v5", true},
		{module + "/loadtest/servers", module + "/cache/fence", false},
		{module + "/loadtest/mutant", module + "/sidecar/wire", false},
		{module + "/loadtest/checker", module + "/invalidation", false},
		{module + "/loadtest/peers", module + "/cache", true},
		{module + "/cachet", module + "/sidecar/wire", true},
	} {
		found := violations([]pkg{{ImportPath: c.from, Imports: []string{c.to}}})
		if allowed := len(found) == 0; allowed != c.allowed {
			t.Errorf("%s imports %s: allowed is %v, want %v %q", c.from, c.to, allowed, c.allowed, found)
		}
	}
}
