package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestDoctor(t *testing.T) {
	dsn, _ := setupFruit(t)
	arguments := []string{"doctor", "--upstream", asFollower(dsn), "--socket-dir", shortDir(t)}
	code, stdout, stderr := freshet(t, arguments...)
	if code != 2 || stderr != "" || !strings.Contains(stdout, "FAIL  installed") || !strings.Contains(stdout, "-> freshet install --watch 'public.*' --follower-role "+servers.Follower) {
		t.Errorf("before install: exit code %d, %q\n%s", code, stderr, stdout)
	}
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--grant", servers.Follower); code != exitOK {
		t.Fatal(stderr)
	}
	code, stdout, _ = freshet(t, arguments...)
	wrong := strings.Count(stdout, "FAIL  ") + strings.Count(stdout, "warn  ")
	if strings.Contains(stdout, "warn  latency") {
		wrong-- // this machine is busy
		code = exitOK
	}
	if code != exitOK || wrong != 0 || !strings.Contains(stdout, "\n0 errors, ") {
		t.Errorf("after install: exit code %d\n%s", code, stdout)
	}
	// Without a socket there is nothing to say of one; a misspelled variable is a finding.
	t.Setenv("FRESHET_SOCKETDIR", "/run/x")
	code, stdout, stderr = freshet(t, "doctor", "--json", "--upstream", dsn, "--poll", "10s", "--databases", "far: host=/nowhere dbname=x")
	var findings []struct{ Level, Check, Finding, Remedy, Database string }
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil || code != 2 || stderr != "" {
		t.Fatalf("exit code %d, %v, %q:\n%s", code, err, stderr, stdout)
	}
	for _, want := range []struct{ level, check, finding string }{
		{"ok", "connect", "PostgreSQL"}, {"warn", "role", "superuser"},
		{"FAIL", "settings", "did you mean FRESHET_SOCKET_DIR?"}, {"FAIL", "settings", "more than half of --staleness"},
		{"FAIL", "connect", "/nowhere"},
	} {
		found := false
		for _, f := range findings {
			found = found || f.Level == want.level && f.Check == want.check && strings.Contains(f.Finding, want.finding)
			if (f.Database == "far") != strings.Contains(f.Finding, "/nowhere") {
				t.Errorf("this is not of the database that it is about: %v", f)
			}
			if f.Check == "socket" || strings.Contains(f.Finding, "--socket-dir is missing") {
				t.Errorf("nobody asked for %v", f)
			}
		}
		if !found {
			t.Errorf("%v is missing:\n%s", want, stdout)
		}
	}
}
