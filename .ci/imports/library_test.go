package main

import "testing"

func TestOverweight(t *testing.T) {
	t.Parallel()
	linked := []string{"fmt", module + "/cache/fence", "github.com/jackc/pgx/v5", "github.com/prometheus/client_golang/prometheus", module + "/sidecar/wire"}
	if found := overweight(linked); len(found) != 2 {
		t.Errorf("%q", found)
	}
}
