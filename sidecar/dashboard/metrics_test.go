package dashboard

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
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

// What no cache could answer is left out of the ratio of hits wherever it is shown.
func TestDocumentsLeaveOutWhatIsNoRead(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"alerts.yaml", "grafana/freshet.json"} {
		text, err := os.ReadFile("../../docs/" + document)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Join(natural, "|"); !strings.Contains(string(text), want) {
			t.Errorf("%s: %s is missing", document, want)
		}
	}
}
