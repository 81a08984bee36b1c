package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// More clients than may be are refused as Postgres does; a client that leaves makes room, and so does
// a reload with a higher limit.
func TestMoreClientsThanMayBe(t *testing.T) {
	t.Parallel()
	dsn, _ := setupFruit(t)
	c := testConfig(t, dsn, "--max-clients", "1")
	s := start(t, c)
	first := client(t, s)
	_, err := pgx.ConnectConfig(t.Context(), s.ClientConfig())
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.Code != "53300" || !strings.Contains(refused.Hint, "--max-clients") {
		t.Errorf("error %v", err)
	}
	eventually(t, func() string { // it is connected a moment before it is listed
		if open := s.Report().UpstreamConnections; open["client"] != 1 {
			return fmt.Sprintf("connections to Postgres: %v, want that of one client", open)
		}
		return ""
	})
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if n := s.Report().Sessions; n != 0 {
			return fmt.Sprintf("%d sessions once the client has left, want none", n)
		}
		return ""
	})
	first = client(t, s)
	r := reloading(s, c)
	more := c
	more.MaxClients = 2
	r.read = func() (config, error) { return more, nil }
	if _, err := r.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*pgx.Conn{first, client(t, s)} {
		if err := conn.Ping(t.Context()); err != nil {
			t.Errorf("one of two clients, of whom two may be: %v", err)
		}
	}
	if r := s.Report(); r.SessionsRefused != 1 || r.RefusedByLimit != 1 {
		t.Errorf("%d were refused, %d of them by the limit", r.SessionsRefused, r.RefusedByLimit)
	}
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWithoutPostgres(t, testConfig(t, "host=/nowhere user=u", "--admin-token-file", path))
	if code, _, stderr := freshet(t, "stats", "--admin", s.AdminAddress()); code != exitFailure || !strings.Contains(stderr, "--admin-token-file") {
		t.Errorf("without the token: exit code %d, %s", code, stderr)
	}
	if code, stdout, stderr := freshet(t, "stats", "--admin", s.AdminAddress(), "--admin-token-file", path); code != exitOK || !strings.Contains(stdout, "not ready") {
		t.Errorf("with the token: exit code %d, %s%s", code, stdout, stderr)
	}
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for arguments, says := range map[string]string{
		"--admin-token-file " + path:   "openssl rand -hex 16",
		"--admin-token-file /no/such":  "/no/such",
		"--admin 0.0.0.0:0":            "--admin-insecure",
		"--admin off --admin-insecure": "it is off",
		"--max-clients=-1":             "--max-clients",
	} {
		code, _, stderr := freshet(t, append([]string{"serve", "--socket-dir", shortDir(t), "--upstream", "host=/nowhere user=u"}, strings.Fields(arguments)...)...)
		if code == exitOK || !strings.Contains(stderr, says) || strings.Contains(stderr, "secret") {
			t.Errorf("%s: exit code %d, %s", arguments, code, stderr)
		}
	}
}

func TestLogInJSON(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	newLogger(&text, slog.LevelInfo, "json").Warn("watch", "columns", []string{"a b", "c"}, "error", errors.New("no"), "took", time.Second)
	var line struct {
		Level, Msg, Error, Took string
		Columns                 []string
	}
	if err := json.Unmarshal(text.Bytes(), &line); err != nil || line.Level != "WARN" || line.Msg != "watch" || line.Error != "no" || line.Took != "1s" || len(line.Columns) != 2 {
		t.Errorf("%s, %v", text.String(), err)
	}
}
