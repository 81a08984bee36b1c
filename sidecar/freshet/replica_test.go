package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

func TestServeBeforeAStandby(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	dsn := pg.DSN(pg.CreateDatabase(t))
	direct, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = direct.Close(context.Background()) })
	write := func(sql string) {
		t.Helper()
		if _, err := direct.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	write("CREATE TABLE items (id int PRIMARY KEY, name text)")
	write("INSERT INTO items VALUES (1, 'old')")
	if code, _, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != 0 {
		t.Fatal(stderr)
	}
	standby := servers.StartStandby(t, pg, servers.PostgresOptions{})
	s := start(t, testConfig(t, standby.DSN(direct.Config().Database), "--primary", dsn, "--watch", "public.*"))
	conn := client(t, s)
	if _, err := conn.Exec(t.Context(), "SET freshet.consistency = 'bounded'"); err != nil {
		t.Fatal(err)
	}
	hit := func(want string) {
		t.Helper()
		eventually(t, func() string {
			before := s.Report().Queries["hit_l1"]
			var got string
			if err := conn.QueryRow(t.Context(), "SELECT name FROM items WHERE id = 1").Scan(&got); err != nil {
				t.Fatal(err)
			}
			if s.Report().Queries["hit_l1"] == before || got != want {
				return "no hit shows " + want + " but " + got
			}
			return ""
		})
	}
	hit("old")
	write("UPDATE items SET name = 'new' WHERE id = 1")
	hit("new")
}

func TestPrimaryIsChecked(t *testing.T) {
	dir := shortDir(t)
	c := testConfig(t, "host=/nowhere user=u", "--primary", "host="+dir+" port=6432 user=u")
	c.SocketDir = dir
	if _, err := c.sidecar(nil); err == nil || !strings.Contains(err.Error(), "--primary leads to the sidecar's own socket") {
		t.Errorf("itself: %v", err)
	}
	several := testConfig(t, "host=/nowhere,/elsewhere user=u", "--primary", "host=/nowhere user=u")
	if _, err := several.sidecar(nil); err == nil || !strings.Contains(err.Error(), "several hosts") {
		t.Errorf("several standbys: %v", err)
	}
}
