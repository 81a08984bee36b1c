package dashboard

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	src, server := setup(t)
	response, body := get(t, server, "/metrics")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", response.StatusCode, body)
	}
	for _, line := range []string{
		`freshet_queries_total{outcome="hit_l1"} 7`,
		`freshet_queries_total{outcome="error"} 0`,
		`freshet_bypasses_total{reason="unwatched_table"} 3`,
		`freshet_follower_age_seconds 0.02`,
		`freshet_sessions_refused_total{reason="limit"} 0`,
		`freshet_hints_heard_total 0`,
		`freshet_outbox_bytes 0`,
		`freshet_redis_state{state="up"} 1`,
		`freshet_ready 1`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	src.change(func(s *Stats) { s.FollowerAgeSeconds = nil })
	if _, body := get(t, server, "/metrics"); !strings.Contains(body, "\nfreshet_follower_age_seconds +Inf\n") {
		t.Error("an alert on the follower's age must fire before the first look")
	}
}

// Go's runtime tells what lives, for how long it stopped the program, and how long goroutines
// waited.
func TestRuntimeTellsOfPauses(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	_, body := get(t, server, "/metrics")
	for _, name := range []string{"go_gc_heap_live_bytes ", "go_sched_pauses_total_gc_seconds_count ", "go_sched_latencies_seconds_count "} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("missing: %s", name)
		}
	}
}

// Who asks for OpenMetrics gets that, with the same values.
func TestMetricsAsOpenMetrics(t *testing.T) {
	t.Parallel()
	_, server := setup(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Address()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	response, body := testkit.Ask(t, request)
	if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") {
		t.Errorf("content type %q", got)
	}
	if !strings.HasSuffix(body, "\n# EOF\n") || !strings.Contains(body, "\nfreshet_queries_total{outcome=\"hit_l1\"} 7.0\n") || strings.Contains(body, " # {") {
		t.Errorf("this is no OpenMetrics without exemplars:\n%s", body)
	}
}

// What no cache could answer is left out of the ratio of hits wherever it is shown.
func TestDocumentsLeaveOutWhatIsNoRead(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"alerts.yaml", "grafana/freshet.json"} {
		text, err := os.ReadFile("../../docs/" + document)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{strings.Join(natural, "|"), "error|consented"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: %s is missing", document, want)
			}
		}
	}
}
