package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A configuration is put in force by request as it is by a signal, and who asks hears what
// came of it.
func TestReloadByRequest(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	c := testConfig(t, dsn, "--watch", "public.*")
	s := start(t, c)
	ask := func() (code int, said string) {
		t.Helper()
		code, stdout, stderr := freshet(t, "reload", "--admin", s.AdminAddress())
		return code, stdout + stderr
	}
	if code, said := ask(); code != exitFailure || !strings.Contains(said, "no configuration") {
		t.Errorf("nothing to read: exit code %d, %s", code, said)
	}
	r := reloading(s, c)
	wanted := c
	r.read = func() (config, error) { return wanted, nil }
	s.OnReload(r.reload)
	for _, step := range []struct {
		change func()
		code   int
		says   string
	}{
		{func() {}, exitOK, "nothing has changed"},
		{func() { wanted.Staleness = 3 * time.Second }, exitOK, "changed: staleness"},
		{func() { wanted.TTL = time.Millisecond }, exitFailure, "too short"},
		{func() { wanted.TTL, wanted.Memory = c.TTL, 8<<20 }, exitRestart, "change --memory"},
	} {
		step.change()
		if code, said := ask(); code != step.code || !strings.Contains(said, step.says) {
			t.Errorf("exit code %d, want %d; %q, want %q", code, step.code, said, step.says)
		}
	}
	if got := s.Report().StalenessSeconds; got != 3 {
		t.Errorf("a staleness of %v s", got)
	}
	// Another site's page has not the token.
	response, err := http.Post("http://"+s.AdminAddress()+"/api/v1/reload", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("without the token of the page: %d", response.StatusCode)
	}
}
