package dashboard

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// Only this page, and who has read it, may ask for something.
func TestActionsAreGuarded(t *testing.T) {
	t.Parallel()
	purges := make(chan PurgeRequest, 100)
	s := serving(t, func(o *Options) {
		o.PurgeFunc = func(_ context.Context, r PurgeRequest) (Purged, error) {
			purges <- r
			return Purged{Tables: []string{r.Table}}, nil
		}
	})
	const body = `{"table": "shop.a", "confirm": "shop.a"}`
	good := map[string]string{"Content-Type": "application/json", TokenHeader: s.token, "Origin": "http://" + s.Address(), "Sec-Fetch-Site": "same-origin"}
	for _, c := range []struct {
		name, header, value, body string
		status                    int
	}{
		{"as the page", "", "", body, 200},
		{"from a program", "Origin", "", body, 200},
		{"from another site", "Origin", "http://evil.example", body, 403},
		{"from nowhere", "Origin", "null", body, 403},
		{"across sites", "Sec-Fetch-Site", "cross-site", body, 403},
		{"without the token", TokenHeader, "", body, 403},
		{"with a wrong token", TokenHeader, s.token + "x", body, 403},
		{"as a form", "Content-Type", "text/plain", body, 403},
		{"unconfirmed", "", "", `{"table": "shop.a", "confirm": "shop.b"}`, 422},
		{"of nothing", "", "", `{}`, 422},
		{"of all, unconfirmed", "", "", `{"all": true, "confirm": ""}`, 422},
		{"of all", "", "", `{"all": true, "confirm": "all"}`, 200},
		{"of a role", "", "", `{"role": "web", "confirm": "web"}`, 200},
		{"of a role and a table", "", "", `{"role": "web", "table": "web", "confirm": "web"}`, 422},
		{"of both", "", "", `{"all": true, "table": "shop.a", "confirm": "all"}`, 422},
		{"of what is not known", "", "", `{"table": "shop.a", "confirm": "shop.a", "fleet": true}`, 400},
		{"too long", "", "", `{"table": "` + strings.Repeat("a", requestBytesMax) + `"}`, 400},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Address()+"/api/v1/purge", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range good {
			request.Header.Set(name, value)
		}
		if c.header != "" {
			request.Header.Del(c.header)
			if c.value != "" {
				request.Header.Set(c.header, c.value)
			}
		}
		response, text := testkit.Ask(t, request)
		if response.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, response.StatusCode, text, c.status)
		}
	}
	if n := len(purges); n != 4 {
		t.Errorf("%d purges, want 4", n)
	}
	// There is no box for what the sidecar cannot do.
	if response, _ := get(t, s, "/api/v1/explain"); response.StatusCode != http.StatusNotFound {
		t.Errorf("explain: %d", response.StatusCode)
	}
}

func TestExplainsAreCounted(t *testing.T) {
	t.Parallel()
	var p perSecond
	now := time.Now()
	for i := range explainsPerSecondMax + 1 {
		if got := p.allow(now); got != (i < explainsPerSecondMax) {
			t.Errorf("question %d: %v", i, got)
		}
	}
	if !p.allow(now.Add(time.Second)) {
		t.Error("a second later none is allowed")
	}
}
