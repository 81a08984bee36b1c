package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// Whoever may ask the admin address switches everything off and on: each is said by the
// command, counted, and shown; who has not the token changes nothing.
func TestBypass(t *testing.T) {
	dsn, _ := setupFruit(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("atokenofmanyletters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, testConfig(t, dsn, "--watch", "public.*", "--admin-token-file", token))
	eventually(t, func() string { return notReady(s) })
	conn := client(t, s)
	read := func() (hits, off uint64) {
		t.Helper()
		before := s.Report()
		for range 5 {
			var name string
			if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = 1").Scan(&name); err != nil {
				t.Fatal(err)
			}
		}
		after := s.Report()
		return after.Queries["hit_l1"] - before.Queries["hit_l1"], after.Bypasses[reasons.AllOff] - before.Bypasses[reasons.AllOff]
	}
	bypass := func(code int, says string, arguments ...string) {
		t.Helper()
		got, stdout, stderr := freshet(t, append([]string{"bypass", "--admin", s.AdminAddress()}, arguments...)...)
		if got != code || !strings.Contains(stdout+stderr, says) {
			t.Errorf("%v: exit code %d, %q, %q", arguments, got, stdout, stderr)
		}
	}
	hits := func() {
		t.Helper()
		eventually(t, func() string {
			if hits, _ := read(); hits == 0 {
				return "no hits"
			}
			return ""
		})
	}
	hits()
	bypass(exitFailure, "--admin-token-file", "on")
	bypass(exitUsage, `must be one of "on","off"`, "perhaps", "--admin-token-file", token)
	hits()
	if off := s.Report().Bypasses[reasons.AllOff]; off != 0 {
		t.Errorf("nobody has switched it off: %d passed through", off)
	}
	bypass(exitOK, "until freshet bypass off", "on", "--admin-token-file", token)
	if hits, off := read(); hits != 0 || off != 5 || !s.Report().SwitchedOff {
		t.Errorf("switched off: %d hits, %d passed through", hits, off)
	}
	if _, stdout, _ := freshet(t, "stats", "--admin", s.AdminAddress(), "--admin-token-file", token); !strings.Contains(stdout, "switched off: freshet bypass off") {
		t.Errorf("the statistics do not say so:\n%s", stdout)
	}
	bypass(exitOK, "from the cache again", "off", "--admin-token-file", token)
	hits()
	if off := s.Report().Bypasses[reasons.AllOff]; off != 5 || s.Report().SwitchedOff {
		t.Errorf("switched on again: %d passed through since", off-5)
	}
}
