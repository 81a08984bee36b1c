package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// What a sidecar pushes is what /metrics would say, also where there is no /metrics.
func TestMetricsArePushedWithoutAPage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var names []string
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			body, _ = io.ReadAll(unzipped)
		}
		var told collector.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &told); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		names = nil
		for _, of := range told.GetResourceMetrics() {
			for _, scope := range of.GetScopeMetrics() {
				for _, m := range scope.GetMetrics() {
					names = append(names, m.GetName())
				}
			}
		}
	}))
	defer to.Close()
	c := testConfig(t, "host=/nowhere user=nobody", "--admin", "off", "--otlp", to.URL)
	s, err := c.sidecar(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, name := range []string{"freshet_queries_total", "freshet_ready", "freshet_query_seconds", "process_start_time_seconds"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s was not pushed; %d others were", name, len(names))
		}
	}
}
