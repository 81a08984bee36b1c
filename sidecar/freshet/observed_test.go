package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// metricNames are those of ours, and of the process, that a text names.
var metricNames = regexp.MustCompile(`\b(?:freshet|process)_[a-z0-9_]+\b`)

// What alerts and the dashboard ask for is there, on a sidecar that runs, and each of its
// metrics is explained.
func TestDocumentsNameMetricsThatAreThere(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*", "--redis", servers.SharedRedis(t).URL()))
	conn := client(t, s)
	for _, statement := range []string{"SELECT name FROM fruit WHERE id = 1", "UPDATE fruit SET name = 'pear' WHERE id = 1"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var live []string
	eventually(t, func() string { // the first look, which resets, is counted
		_, text := testkit.Get(t, "http://"+s.AdminAddress()+"/metrics")
		live = metricNames.FindAllString(text, -1)
		if !slices.Contains(live, "freshet_follower_resets_total") || !slices.Contains(live, "freshet_bypasses_total") {
			return "not everything was counted yet"
		}
		if !strings.Contains(text, "\nfreshet_upstream_connections{use=\"follower\"} 3\n") {
			return "the follower does not look, listen and trim yet"
		}
		return ""
	})
	for _, document := range []string{"alerts.yaml", "alerts_test.yaml", "grafana/freshet.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", document))
		if err != nil {
			t.Fatal(err)
		}
		named := metricNames.FindAllString(string(text), -1)
		if len(named) < 5 {
			t.Errorf("docs/%s names %d metrics: this test shows nothing", document, len(named))
		}
		for _, name := range named {
			if !slices.Contains(live, name) {
				t.Errorf("docs/%s names %s, which no sidecar has", document, name)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `freshet_") {
			continue
		}
		for _, name := range metricNames.FindAllString(line, -1) {
			if !slices.Contains(live, name) {
				t.Errorf("docs/operations.md explains %s, which no sidecar has", name)
			}
		}
	}
	for _, name := range live {
		for _, part := range []string{"_bucket", "_sum", "_count"} { // of a histogram
			name = strings.TrimSuffix(name, part)
		}
		if strings.HasPrefix(name, "freshet_") && !strings.Contains(string(text), "`"+name) {
			t.Errorf("docs/operations.md does not say what %s is", name)
		}
	}
}
