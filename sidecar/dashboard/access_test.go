package dashboard

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// serving runs a server, and returns where.
func serving(t *testing.T, change func(*Options)) *Server {
	t.Helper()
	o := Options{Address: "127.0.0.1:0", StatsFunc: func() Stats { return Stats{} }, Logger: slog.New(slog.DiscardHandler)}
	change(&o)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAddressThatOthersReachNeedsAToken(t *testing.T) {
	t.Parallel()
	options := Options{Address: "0.0.0.0:0", StatsFunc: func() Stats { return Stats{} }}
	if s, err := New(options); err == nil || !strings.Contains(err.Error(), "--admin-token-file") {
		t.Errorf("%v, error %v", s, err)
	}
	for _, allow := range []func(*Options){func(o *Options) { o.Insecure = true }, func(o *Options) { o.Token = "0123456789abcdef" }} {
		allowed := options
		allow(&allowed)
		s, err := New(allowed)
		if err != nil {
			t.Errorf("%+v: %v", allowed, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTokenIsAskedFor(t *testing.T) {
	t.Parallel()
	s := serving(t, func(o *Options) { o.Token, o.Profile = "0123456789abcdef", true })
	for _, c := range []struct {
		path           string
		header, secret string // secret "" sends none
		status         int
	}{
		{"/livez", "", "", 200}, {"/readyz", "", "", 503}, {"/readyz?verbose", "", "", 401},
		{"/", "", "", 401}, {"/metrics", "", "", 401}, {"/api/v1/stats", "", "", 401}, {"/debug/pprof/", "", "", 401},
		{"/metrics", "bearer", "0123456789abcdef", 200}, {"/", "basic", "0123456789abcdef", 200}, {"/debug/pprof/cmdline", "bearer", "0123456789abcdef", 200},
		{"/metrics", "bearer", "0123456789abcdeF", 401}, {"/metrics", "basic", "0123456789abcde", 401},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch c.header {
		case "bearer":
			request.Header.Set("Authorization", "Bearer "+c.secret)
		case "basic":
			request.SetBasicAuth("anybody", c.secret)
		}
		response, _ := testkit.Ask(t, request)
		if response.StatusCode != c.status || (response.StatusCode == 401) != (response.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s with %s %q: %d, want %d", c.path, c.header, c.secret, response.StatusCode, c.status)
		}
	}
}

func TestProfilesAreOffByDefault(t *testing.T) {
	t.Parallel()
	s := serving(t, func(*Options) {})
	if response, _ := get(t, s, "/debug/pprof/cmdline"); response.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", response.StatusCode)
	}
}

// Where nothing may be changed, no box of the page, and no program that has the token, can.
func TestReadOnlyPage(t *testing.T) {
	t.Parallel()
	s := serving(t, func(o *Options) {
		o.ReadOnly, o.Token = true, "0123456789abcdef"
		o.ExplainFunc = func(context.Context, ExplainRequest) (e Explanation, err error) { t.Error("explained"); return e, nil }
		o.PurgeFunc = func(context.Context, PurgeRequest) (p Purged, err error) { t.Error("purged"); return p, nil }
		o.ReloadFunc = func(context.Context) (r Reloaded, err error) { t.Error("reloaded"); return r, nil }
		o.SwitchFunc = func(string, bool) error { t.Error("switched"); return nil }
		o.Databases = []Database{{Name: "crm", StatsFunc: o.StatsFunc, PurgeFunc: o.PurgeFunc}}
	})
	ask := func(method, path string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Address()+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer 0123456789abcdef")
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(TokenHeader, s.token)
		response, text := testkit.Ask(t, request)
		return response.StatusCode, text
	}
	for _, path := range []string{"/api/v1/mark", "/api/v1/explain", "/api/v1/purge", "/api/v1/reload", "/api/v1/bypass", "/databases/crm/api/v1/purge", "/nowhere"} {
		if status, text := ask(http.MethodPost, path); status != http.StatusForbidden || !strings.Contains(text, "--admin-readonly") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	for _, path := range []string{"/api/v1/snapshot", "/databases/crm/api/v1/snapshot"} {
		var seen Snapshot
		if status, text := ask(http.MethodGet, path); status != http.StatusOK || json.Unmarshal([]byte(text), &seen) != nil || seen.Can != (Can{}) {
			t.Errorf("%s: %d, can %+v", path, status, seen.Can)
		}
	}
}

// The interleaving that SetToken describes: who was let in by a token before is told no more
// than those who have opened their stream already.
func TestStreamsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	const first, second = "0123456789abcdef", "fedcba9876543210"
	s := serving(t, func(o *Options) { o.Token = first })
	letIn, changed := make(chan struct{}), make(chan struct{})
	handler := s.tokenOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(letIn)
		<-changed
		s.stream(w, r)
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/stream", nil)
	request.Header.Set("Authorization", "Bearer "+first)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}()
	<-letIn
	s.SetToken(second)
	close(changed)
	<-ended // or the test does not end
}
