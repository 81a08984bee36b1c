package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// Behind a pooler in session mode, stock or told to ignore start-up parameters,
// reads are cached; behind one in transaction mode they pass through, and the
// reason is said.
func TestUpstreamIsAPooler(t *testing.T) {
	for name, options := range map[string]servers.PgBouncerOptions{
		"session":              {},
		"session and ignoring": {Ignored: []string{"search_path", "statement_timeout", "default_transaction_read_only"}},
		"transaction":          {Mode: "transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			dsn, direct := setupFruit(t)
			if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
				t.Fatalf("install: %s%s", stdout, stderr)
			}
			pooler := servers.StartPgBouncer(t, servers.SharedPostgres(t), options)
			pooled := fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", pooler.SocketDir(), pooler.Port(), direct.Config().Database)
			s := start(t, testConfig(t, pooled, "--passwordless", "any"))
			conn := client(t, s)
			mode := pgx.QueryExecModeCacheStatement
			if options.Mode == "transaction" {
				mode = pgx.QueryExecModeSimpleProtocol
			}
			read := func() {
				t.Helper()
				var name string
				// A named statement is of one connection behind a pooler in transaction mode.
				if err := conn.QueryRow(t.Context(), "SELECT name FROM fruit WHERE id = 1", mode).Scan(&name); err != nil || name != "apple" {
					t.Fatalf("read %q, %v", name, err)
				}
			}
			if options.Mode == "transaction" {
				for range 5 {
					read()
				}
				if hits := s.Report().Queries["hit_l1"]; hits > 0 {
					t.Errorf("%d hits", hits)
				}
				// What is wrong is found out by several attempts to follow.
				eventually(t, func() string {
					status, body := readyz(t, s)
					if status != http.StatusServiceUnavailable {
						t.Fatalf("ready: %d %s", status, body)
					}
					if !strings.Contains(body, "pooler in transaction mode") {
						return "not ready for another reason: " + body
					}
					return ""
				})
				return
			}
			eventually(t, func() string {
				read()
				if r := s.Report(); r.Queries["hit_l1"] == 0 {
					return fmt.Sprintf("no hits: %v, passed through for %v, %s", r.Queries, r.Bypasses, r.FollowerProblem)
				}
				return ""
			})
		})
	}
}
