package main

import "testing"

func TestProductsLinkNoProof(t *testing.T) {
	t.Parallel()
	linked := []string{"fmt", module + "/cache/fence", "github.com/jackc/pgx/v5", "github.com/prometheus/client_golang/prometheus",
		module + "/sidecar/wire", module + "/loadtest/servers", "github.com/lib/pq/oid", "go.opentelemetry.io/otel/trace", "testing"}
	for i, want := range []int{6, 5, 5, 3} {
		if found := products[i].tooMuch(linked); len(found) != want {
			t.Errorf("%s: %q", products[i].packages, found)
		}
	}
}
