package cachetest

import (
	"context"
	"testing"

	"github.com/freshet/freshet/cache"
)

// Covers runs load for a key through a DB of a real database, and fails the test if
// p.DependsOn leaves out something that its statements depend on: a table that is read by
// the way, a row by another column. See cache.Uncovered for what it cannot tell.
func Covers[K comparable, V any](t testing.TB, db *cache.DB, load func(context.Context, K) (V, error), p cache.Policy[K, V], k K) {
	t.Helper()
	missing, err := cache.Uncovered(t.Context(), db, load, p, k)
	if err != nil {
		t.Errorf("whether DependsOn covers the load: %v", err)
	}
	for _, what := range missing {
		t.Errorf("the load depends on %s, and DependsOn does not say so", what)
	}
}
