package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// Where an earlier version was installed, a sidecar that starts says so in every place, with the
// command that mends it, and is not ready. One that was ready goes on, since installing for the
// next version must not take those of this one out of service.
func TestOutdatedInstallationSaysWhatToRun(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	dsn, direct := setupFruit(t)
	database := direct.Config().Database
	install := func() {
		t.Helper()
		if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--follower-role", servers.Follower); code != exitOK {
			t.Fatalf("install: %s%s", stdout, stderr)
		}
	}
	// What this version has added since is taken away.
	outdate := func() {
		t.Helper()
		if _, err := direct.Exec(t.Context(), "DROP FUNCTION freshet.purge(regclass); DROP TABLE freshet.distrusted"); err != nil {
			t.Fatal(err)
		}
	}
	install()
	outdate()
	c := testConfig(t, pg.FollowerDSN(database))
	s := start(t, c)
	const command = "freshet install --upstream DSN --watch 'public.*' --follower-role " + servers.Follower
	eventually(t, func() string {
		if status, body := readyz(t, s); status != http.StatusServiceUnavailable || !strings.Contains(body, command) {
			return body
		}
		return ""
	})
	elsewhere, _ := setupFruit(t)
	several := start(t, testConfig(t, pg.FollowerDSN(database), "--databases", "elsewhere: "+elsewhere))
	eventually(t, func() string {
		if of := several.Report().Databases[0]; !strings.Contains(of.NotReady, command) {
			return "among several databases it says " + of.NotReady
		}
		return ""
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := new(logBuffer)
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		announce(ctx, s, slog.New(slog.DiscardHandler), said)
	}()
	eventually(t, func() string {
		if text := said.String(); !strings.Contains(text, "serving, but not ready: what is installed") || !strings.Contains(text, command) {
			return "it said " + text
		}
		return ""
	})
	for _, c := range []struct {
		arguments []string
		says      string
	}{
		{[]string{"top", "--once", "--interval", "100ms", "--admin", s.AdminAddress()}, "Nothing is cached: install again"},
		{[]string{"top", "--once", "--interval", "100ms", "--admin", s.AdminAddress()}, "-> freshet install --watch"},
		{[]string{"doctor", "--upstream", pg.FollowerDSN(database)}, "freshet install --watch 'public.*' --follower-role " + servers.Follower},
	} {
		eventually(t, func() string { // on a busy machine the last look may be old
			if _, stdout, stderr := freshet(t, c.arguments...); !strings.Contains(stdout, c.says) {
				return fmt.Sprintf("%s: %q is missing:\n%s%s", c.arguments[0], c.says, stdout, stderr)
			}
			return ""
		})
	}
	install()
	<-announced // ready
	outdate()
	eventually(t, func() string {
		if s.Report().InstallProblem == "" {
			return "it is not noticed"
		}
		return ""
	})
	eventually(t, func() string { // on a busy machine the last look may be old
		status, body := readyz(t, s)
		if strings.Contains(body, command) {
			t.Fatalf("who was ready is not any more: %s", body)
		}
		if status != http.StatusOK {
			return body
		}
		return ""
	})
	eventually(t, func() string { // the follower looks anew meanwhile
		stats := s.Report()
		stats.JudgeReadiness()
		if v := stats.Verdict(); v.Text != "Nothing is cached: install again" {
			return fmt.Sprintf("the page says %+v", v)
		}
		return ""
	})
}
