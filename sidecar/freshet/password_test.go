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
	for _, way := range []string{"--password-file", "--password-command", "PGPASSFILE", "--upstream-file", "reload"} {
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
		switch way {
		case "PGPASSFILE":
			password = "*:*:*:*:" + password
		case "--upstream-file":
			password = pg.FollowerDSN(database) + " password=" + password
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
	c, reload := rotating(t, way, pg.FollowerDSN(database), place)
	s := start(t, c)
	eventually(t, func() string {
		if status, body := readyz(t, s); status != http.StatusOK {
			return "with the first password: " + body
		}
		return ""
	})
	become("two")
	if reload {
		r := reloading(s, c)
		after := c
		after.Upstream = pg.FollowerDSN(database) + " password=two"
		r.read = func() (config, error) { return after, nil }
		if changed, err := r.reload(t.Context()); err != nil || len(changed) != 1 || changed[0] != "upstream" {
			t.Fatalf("a reload changed %v, error %v", changed, err)
		}
	}
	const end = "SELECT count(pg_terminate_backend(pid)), clock_timestamp() FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()"
	var ended int
	var at time.Time
	if err := direct.QueryRow(t.Context(), end, servers.Follower).Scan(&ended, &at); err != nil {
		t.Fatal(err)
	}
	if ended == 0 {
		t.Fatal("no session of the follower was ended: the sidecar goes on with what it has")
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

// rotating is a configuration that finds the password in a way, which is one at first; reload
// is set if another one takes a reload.
func rotating(t *testing.T, way, dsn, place string) (c config, reload bool) {
	var flags []string
	switch way {
	case "--password-file":
		flags = []string{way, place}
	case "--password-command":
		flags = []string{way, "cat " + place}
	case "--upstream-file":
		c, err := parseServe(t, way, place, "--socket-dir", shortDir(t), "--admin", "127.0.0.1:0", "--passwordless", "any")
		if err != nil {
			t.Fatal(err)
		}
		return c, false
	case "reload":
		dsn, reload = dsn+" password=one", true
	default:
		t.Setenv(way, place)
	}
	return testConfig(t, dsn, append(flags, "--passwordless", "any")...), reload
}

// What says where Postgres is may change in its secrets alone while the sidecar runs.
func TestDSNsAreComparedWithoutSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b         string
		password, is bool // the same but for a password, and but for user and password
	}{
		{"postgres://u:one@h/d", "postgres://u:two@h/d", true, true},
		{"postgres://u@h/d", "postgres://u:two@h/d?password=x", true, true},
		{"postgres://u:one@h/d", "postgres://v:two@h/d", false, true},
		{"postgres://u:one@h/d?sslmode=require", "postgres://u:one@h/d", false, false},
		{"postgres://u:one@h/d", "postgres://u:one@other/d", false, false},
		{"host=h user=u password=one dbname=d", "host=h user=u password = 'two \\' three' dbname=d", true, true},
		{"host=h user=u dbname=d", "host=h user=v password=x dbname=d", false, true},
		{"host=h password=one", "host=h", true, true},
		{"password=one host=h", "password=one host=g", false, false},
	} {
		if got := withoutPassword(c.a) == withoutPassword(c.b); got != c.password {
			t.Errorf("%q and %q: the same but for a password: %v", c.a, c.b, got)
		}
		if got := withoutUser(c.a) == withoutUser(c.b); got != c.is {
			t.Errorf("%q and %q: the same but for user and password: %v", c.a, c.b, got)
		}
	}
}

// A file that begins to lead elsewhere gives no credentials of there away.
func TestUpstreamFileLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "dsn")
	write := func(dsn string) {
		t.Helper()
		if err := os.WriteFile(place, []byte(dsn+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("postgres://one:first@h/d")
	c, err := parseServe(t, "--upstream-file", place, "--socket-dir", shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	at, err := c.plainDatabase()
	if err != nil || at.Config.Host != "h" {
		t.Fatal(at.Config, err)
	}
	write("postgres://two:second@h/d")
	if err := at.BeforeConnect(t.Context(), at.Config); err != nil || at.Config.User != "two" || at.Config.Password != "second" {
		t.Errorf("user %s, error %v", at.Config.User, err)
	}
	write("postgres://three:third@elsewhere/d")
	if err := at.BeforeConnect(t.Context(), at.Config); err == nil || strings.Contains(err.Error(), "third") || at.Config.Password == "third" {
		t.Errorf("leading elsewhere: %v", err)
	}
	for _, wrong := range [][]string{{"--upstream-file", "/no/such"}, {"--upstream-file", place, "--upstream", "host=h"}} {
		if _, err := parseServe(t, append(wrong, "--socket-dir", "/x")...); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
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
