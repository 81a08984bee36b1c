package settings

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// TestEverySettingIsDecided holds the list of settings against those of the server,
// in both directions. make versions runs it on each supported version.
func TestEverySettingIsDecided(t *testing.T) {
	t.Parallel()
	pg := servers.SharedPostgres(t)
	conn, err := pgx.Connect(t.Context(), pg.DSN(pg.CreateDatabase(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), "SELECT name FROM pg_settings WHERE name NOT LIKE '%.%' UNION ALL SELECT 'version' || current_setting('server_version_num')::int / 10000")
	if err != nil {
		t.Fatal(err)
	}
	there, version := map[string]bool{}, 0
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if n, _ := fmt.Sscanf(name, "version%d", &version); n == 0 {
			there[name] = true
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	decided := map[string]bool{}
	for _, s := range all {
		if decided[s.name] {
			t.Errorf("%s is decided twice", s.name)
		}
		decided[s.name] = true
		// A few are in no list of Postgres' but can be asked for; so can some by the name
		// that they had in earlier versions.
		var value *string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1, true)", s.name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		expected := s.since <= version && (s.until == 0 || version <= s.until)
		if expected && value == nil && !s.optional || !expected && there[s.name] {
			t.Errorf("PostgreSQL %d has %s: %v, the list says %v", version, s.name, there[s.name], expected)
		}
		if s.why == "" {
			t.Errorf("nothing says why %s is decided as it is", s.name)
		}
	}
	for name := range there {
		if !decided[name] {
			t.Errorf("PostgreSQL %d has %s, of which nothing is decided: add it to groups", version, name)
		}
	}
}

// TestConditions: a session is served with the values that are listed, and passes
// through with others.
func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(conditions, startConditions) {
		if !c.objects([]byte("another value")) {
			t.Errorf("%s may have any value", c.name)
		}
		if c.objects(nil) == c.optional {
			t.Errorf("%s may be missing: %v", c.name, c.optional)
		}
		for _, value := range c.only {
			if c.objects([]byte(value)) {
				t.Errorf("%s must not be %q", c.name, value)
			}
		}
	}
	for list, want := range map[string]bool{
		"": true, "auto_explain": true, `pg_stat_statements, "$libdir/auto_explain"`: true,
		"anon": false, "auto_explain,anon": false, "/tmp/auto_explain": false,
	} {
		if harmlessLibraries(list) != want {
			t.Errorf("libraries %q are harmless: %v", list, !want)
		}
	}
}
