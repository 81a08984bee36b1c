package main

import (
	"slices"
	"strings"
	"testing"
)

// Of what a program may link each product refuses what it has no need of, and nothing else.
func TestProductsLinkNoProof(t *testing.T) {
	t.Parallel()
	linked := []string{"fmt", module + "/cache/fence", "github.com/jackc/pgx/v5", "github.com/prometheus/client_golang/prometheus",
		module + "/sidecar/wire", module + "/loadtest/servers", "github.com/lib/pq/oid", "go.opentelemetry.io/otel/trace", "testing"}
	proven := []string{"./loadtest/servers", "github.com/lib/pq/oid", "testing"}
	daemons := []string{"./sidecar/wire", "github.com/prometheus/client_golang/prometheus"}
	traces := []string{"go.opentelemetry.io/otel/trace"}
	wants := [][]string{
		slices.Concat(proven, daemons, traces),
		slices.Concat(proven, daemons),
		slices.Concat(proven, daemons[:1], traces),
		proven,
	}
	if len(wants) != len(products) {
		t.Fatalf("%d products are tested, there are %d", len(wants), len(products))
	}
	for i, want := range wants {
		var found []string
		for _, said := range products[i].tooMuch(linked) {
			name, _, _ := strings.Cut(said, " ")
			found = append(found, name)
		}
		slices.Sort(found)
		slices.Sort(want)
		if !slices.Equal(found, want) {
			t.Errorf("%s must not link %q, want %q", products[i].packages, found, want)
		}
	}
}
