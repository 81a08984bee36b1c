package dashboard

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
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
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
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
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
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
