package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// A password that is rotated while the sidecar runs is read again, wherever it is:
// its sessions are ended, and it follows and analyses with the new one.
func TestRotatedPasswordIsReadAgain(t *testing.T) {
	pg := servers.StartPostgres(t, servers.PostgresOptions{HBA: []string{"local all " + servers.Follower + " scram-sha-256"}})
	for _, way := range []string{"--password-file", "--password-command", "PGPASSFILE"} {
		t.Run(way, func(t *testing.T) { rotatePassword(t, pg, way) })
	}
}

func rotatePassword(t *testing.T, pg *servers.Postgres, way string) {
	database := pg.CreateDatabase(t)
	dsn := pg.DSN(database)
	direct, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(context.Background())
	place := filepath.Join(t.TempDir(), "password")
	become := func(password string) {
		t.Helper()
		if _, err := direct.Exec(t.Context(), "ALTER ROLE "+servers.Follower+" PASSWORD '"+password+"'"); err != nil {
			t.Fatal(err)
		}
		if way == "PGPASSFILE" {
			password = "*:*:*:*:" + password
		}
		if err := os.WriteFile(place, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	become("one")
	if _, err := direct.Exec(t.Context(), "CREATE TABLE fruit (id int PRIMARY KEY); INSERT INTO fruit VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*", "--follower-role", servers.Follower); code != exitOK {
		t.Fatalf("install: %s%s", stdout, stderr)
	}
	var flags []string
	switch way {
	case "--password-file":
		flags = []string{way, place}
	case "--password-command":
		flags = []string{way, "cat " + place}
	default:
		t.Setenv(way, place)
	}
	s := start(t, testConfig(t, pg.FollowerDSN(database), append(flags, "--passwordless", "any")...))
	if status, body := readyz(t, s); status != http.StatusOK {
		t.Fatalf("with the first password: %s", body)
	}
	become("two")
	const end = "SELECT count(pg_terminate_backend(pid)), clock_timestamp() FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()"
	var ended int
	var at time.Time
	if err := direct.QueryRow(t.Context(), end, servers.Follower).Scan(&ended, &at); err != nil {
		t.Fatal(err)
	}
	// The client comes as a superuser, whom this server asks for no password.
	asSuperuser := s.ClientConfig()
	asSuperuser.User = "postgres"
	conn := connect(t, asSuperuser)
	following := func() (following bool) {
		const again = "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = $1 AND datname = current_database() AND application_name = 'freshet follower' AND backend_start > $2"
		if err := direct.QueryRow(t.Context(), again, servers.Follower, at).Scan(&following); err != nil {
			t.Fatal(err)
		}
		return following
	}
	eventually(t, func() string {
		var id int
		if err := conn.QueryRow(t.Context(), "SELECT id FROM fruit WHERE id = 1").Scan(&id); err != nil {
			t.Fatal(err)
		}
		if r := s.Report(); r.Queries["hit_l1"] == 0 || !following() {
			return "no hits after the password was rotated: " + r.FollowerProblem
		}
		return ""
	})
}

func TestPasswordOnTheCommandLineIsWarnedOf(t *testing.T) {
	t.Parallel()
	for dsn, warned := range map[string]bool{
		"postgres://u:secret@h/d":           true,
		"host=h password=secret dbname=d":   true,
		"postgres://h/d?password=secret":    true,
		"postgres://u@h/d":                  false,
		"host=h user=password_of dbname=d":  false,
		"":                                  false,
		"postgres://u:elsewhere@h/d?from=1": false, // from a file or the environment
	} {
		var log bytes.Buffer
		arguments := []string{"freshet", "serve", "--upstream=" + dsn}
		if strings.Contains(dsn, "elsewhere") {
			arguments = arguments[:2]
		}
		warnOfPassword(slog.New(slog.NewTextHandler(&log, nil)), arguments, dsn)
		if got := log.Len() > 0; got != warned || strings.Contains(log.String(), "secret") {
			t.Errorf("%q: warned %v, want %v: %s", dsn, got, warned, &log)
		}
	}
}
