package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/run"
)

// Behind a pooler in session mode, stock or told to ignore start-up parameters,
// reads are cached; behind one in transaction mode they pass through, and the
// reason is said.
func TestUpstreamIsAPooler(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]servers.PgBouncerOptions{
		"session":                       {},
		"session and ignoring":          {Ignored: []string{"search_path", "statement_timeout", "default_transaction_read_only"}},
		"transaction":                   {Mode: "transaction"},
		"session, followed past it":     {},
		"transaction, followed past it": {Mode: "transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			past := strings.HasSuffix(name, "past it")
			dsn, direct := setupFruit(t)
			if code, stdout, stderr := freshet(t, "install", "--upstream", dsn, "--watch", "public.*"); code != exitOK {
				t.Fatalf("install: %s%s", stdout, stderr)
			}
			pooler := servers.StartPgBouncer(t, servers.SharedPostgres(t), options)
			pooled := fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", pooler.SocketDir(), pooler.Port(), direct.Config().Database)
			arguments := []string{"--passwordless", "any"}
			if past {
				arguments = append(arguments, "--follow", dsn)
			}
			if past {
				_, found, _ := freshet(t, "doctor", "--upstream", pooled, "--follow", dsn)
				if says := strings.Contains(found, "clients go through a pooler in transaction mode"); says != (options.Mode == "transaction") || !says && !strings.Contains(found, "for itself") {
					t.Errorf("the doctor says\n%s", found)
				}
			}
			s := start(t, testConfig(t, pooled, arguments...))
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
				if past {
					inTransactions(t, s)
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
				// Had the statement been one to keep, it would have been analysed meanwhile.
				before := s.Report()
				for range 5 {
					read()
				}
				after := s.Report()
				if hits := after.Queries["hit_l1"]; hits > 0 {
					t.Errorf("%d hits behind a pooler in transaction mode, want none", hits)
				}
				if passed := after.Bypasses["servers_shared"] - before.Bypasses["servers_shared"]; past && passed != 5 {
					t.Errorf("%d of 5 reads passed through since servers are shared: %v", passed, after.Bypasses)
				}
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

// inTransactions has two clients, whose statements share servers, say in turn who they are
// in their transactions: each goes on being told its own.
func inTransactions(t *testing.T, s *run.Sidecar) {
	t.Helper()
	conns := []*pgx.Conn{client(t, s), client(t, s)}
	say := func(conn *pgx.Conn, sql string) (text string) {
		t.Helper()
		results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		for _, r := range results {
			for _, row := range r.Rows {
				text = string(row[0])
			}
		}
		return text
	}
	for range 5 {
		for i, conn := range conns {
			say(conn, "BEGIN")
			say(conn, fmt.Sprintf("SET LOCAL app.who = 'client %d'", i))
		}
		for i, conn := range conns {
			if got, want := say(conn, "SELECT current_setting('app.who') FROM fruit WHERE id = 1"), fmt.Sprint("client ", i); got != want {
				t.Errorf("client %d is told %q", i, got)
			}
		}
		for _, conn := range conns {
			say(conn, "COMMIT")
		}
	}
	if r := s.Report(); r.TransactionsHeld > 0 || r.Bypasses["servers_shared"] == 0 {
		t.Errorf("%d transactions were held back; passed through: %v", r.TransactionsHeld, r.Bypasses)
	}
}
