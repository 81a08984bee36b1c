package dashboard

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// Probes and Prometheus need no token at their own address, and reach nothing else there.
func TestProbesHaveAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	age := 0.02
	problem := Stats{Listening: true, FollowerAgeSeconds: &age, StalenessSeconds: 1, Problems: []string{"shop.secret: lost"}, WatchProblems: 1, Redis: Redis{State: RedisOff}}
	p, err := NewProbes(Options{Address: "127.0.0.1:0", Token: "0123456789abcdef", StatsFunc: func() Stats { return problem }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		method, path, host string
		status             int
		says               string
	}{
		{"GET", "/livez", "", 200, "live"},
		{"GET", "/readyz", "", 200, "ready"},
		{"GET", "/readyz?verbose", "", 200, "ready"},
		{"GET", "/readyz?database=none", "", 404, "no database"},
		{"GET", "/metrics", "", 200, "freshet_ready 1"},
		{"GET", "/", "", 404, "admin address"},
		{"GET", "/api/v1/stats", "", 404, "admin address"},
		{"POST", "/api/v1/purge", "", 404, "admin address"},
		{"POST", "/metrics", "", 404, "admin address"},
		{"GET", "/metrics", "evil.example", 421, "localhost"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+p.Address()+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = c.host
		response, text := testkit.Ask(t, request)
		if response.StatusCode != c.status || !strings.Contains(text, c.says) || strings.Contains(text, "secret") {
			t.Errorf("%s %s: %d %.200s; want %d %q", c.method, c.path, response.StatusCode, text, c.status, c.says)
		}
	}
	if _, err := NewProbes(Options{Address: p.Address()}); err == nil || !strings.Contains(err.Error(), "--metrics") {
		t.Errorf("the same address again: %v", err)
	}
}
