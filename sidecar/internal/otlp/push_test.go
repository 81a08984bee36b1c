package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a collector that keeps what it was told last.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	status   int
	requests int
	path     string
	latest   *collector.ExportMetricsServiceRequest
}

func receive(t *testing.T, status int) *receiver {
	t.Helper()
	r := &receiver{status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var body io.Reader = request.Body
		if request.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(body)
		}
		text, _ := io.ReadAll(body)
		told := new(collector.ExportMetricsServiceRequest)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests++
		r.path = request.URL.Path
		if err := proto.Unmarshal(text, told); err != nil {
			t.Error(err)
		}
		r.latest = told
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

// metric returns the metric of a name that was pushed last.
func (r *receiver) metric(t *testing.T, name string) *metrics.Metric {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.latest.GetResourceMetrics() {
		for _, scope := range of.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				if m.GetName() == name {
					return m
				}
			}
		}
	}
	t.Fatalf("%s was not pushed", name)
	return nil
}

func registry() (*prometheus.Registry, *prometheus.CounterVec) {
	queries := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "freshet_queries_total", Help: "Statements."}, []string{"outcome"})
	times := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "freshet_seconds", Help: "Times.", Buckets: []float64{1, 2}})
	times.Observe(1.5)
	r := prometheus.NewRegistry()
	r.MustRegister(queries, times)
	return r, queries
}

func TestMetricsArePushed(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	r := receive(t, http.StatusOK)
	all, queries := registry()
	p, err := New(Options{URL: r.URL, Gatherer: all, Version: "v1.2.3", Instance: "app-01:6432", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what was counted last is pushed all the same
	queries.WithLabelValues("hit_l1").Add(7)
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if r.path != "/v1/metrics" {
		t.Errorf("pushed to %s", r.path)
	}
	sum := r.metric(t, "freshet_queries_total").GetSum()
	if point := sum.GetDataPoints()[0]; !sum.GetIsMonotonic() || point.GetAsDouble() != 7 || point.GetAttributes()[0].GetValue().GetStringValue() != "hit_l1" {
		t.Errorf("the counter was pushed as %v", sum)
	}
	if point := r.metric(t, "freshet_seconds").GetHistogram().GetDataPoints()[0]; point.GetCount() != 1 || point.GetBucketCounts()[1] != 1 {
		t.Errorf("the histogram was pushed as %v", point)
	}
	about := map[string]string{}
	for _, a := range r.latest.GetResourceMetrics()[0].GetResource().GetAttributes() {
		about[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if about["service.name"] != "freshet" || about["service.version"] != "v1.2.3" || about["service.instance.id"] != "app-01:6432" || about["deployment.environment.name"] != "test" {
		t.Errorf("pushed as %v", about)
	}
}

func TestCollectorThatRefusesIsLogged(t *testing.T) {
	r := receive(t, http.StatusServiceUnavailable)
	all, _ := registry()
	var log bytes.Buffer
	p, err := New(Options{URL: r.URL + "/otlp/v1/metrics", Gatherer: all, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.push(t.Context())
	if !strings.Contains(log.String(), "cannot push metrics") || r.requests != 1 || r.path != "/otlp/v1/metrics" {
		t.Errorf("%d requests to %s, and the log says: %s", r.requests, r.path, log.String())
	}
	p.end()
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"http://collector:4318", "http://collector:4318/v1/metrics"},
		{"https://collector/", "https://collector/v1/metrics"},
		{"https://collector/otlp/v1/metrics", "https://collector/otlp/v1/metrics"},
		{"collector:4318", ""}, {"grpc://collector:4317", ""}, {"http://", ""}, {"http://user:secret@collector", ""}, {"http://collector?x=y", ""},
	} {
		if got, err := CheckURL(c.text); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("CheckURL(%q) = %q, %v", c.text, got, err)
		}
	}
}
