package drivers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/testkit"
)

// failoverProgram returns the arguments that run the program in Java.
var failoverProgram = sync.OnceValues(func() ([]string, error) {
	dir, err := javaClasses()
	if err != nil {
		return nil, err
	}
	classes := strings.Join([]string{dir, javaLibraries[0]}, string(os.PathListSeparator))
	return append(javaRuns[:len(javaRuns):len(javaRuns)], "-cp", classes, "Failover"), nil
})

// Who names Postgres behind the sidecar in a connection string is served by Postgres when
// the sidecar is gone, and by the sidecar again when it is back; programs go on.
func TestFailoverToPostgres(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{TCP: true})
	b := newBedOn(t, pg, "schema.sql")
	tcp := testkit.FreeAddress(t) // also for the sidecar that comes back
	flags := []string{"--listen-tcp", tcp, "--passwordless", "any"}
	s := b.serve(flags...)
	b.reset(s)
	both := fmt.Sprintf("host=%s,127.0.0.1 port=%d,%d user=postgres dbname=%s sslmode=disable", s.at.host, s.at.port, pg.Port(), b.database)
	clients := map[string]func() string{
		"libpq": func() string { return answersPsql(t, both) },
		"pgx":   func() string { return answersPgx(t, both) },
		"JDBC": javaAnswers(t, fmt.Sprintf("jdbc:postgresql://%s,127.0.0.1:%d/%s?user=postgres&sslmode=disable&hostRecheckSeconds=1",
			tcp, pg.Port(), b.database)),
	}
	served := func(by string) {
		t.Helper()
		for name, answers := range clients {
			servers.Eventually(t, name+" to be served by "+by, func() bool {
				who := answers()
				if who != "sidecar" && who != "Postgres" {
					t.Errorf("%s: %s", name, who)
					return true
				}
				return who == by
			})
		}
	}
	served("sidecar")
	s.end()
	served("Postgres")
	b.serveIn(s.at.host, flags...)
	served("sidecar")
}

// answersPsql says who serves psql: only a sidecar knows SHOW freshet.version.
func answersPsql(t *testing.T, dsn string) string {
	t.Helper()
	psql := func(sql string) (string, error) {
		command := exec.CommandContext(t.Context(), "psql", "-XqAt", "-c", sql, dsn)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	if out, err := psql("SELECT name FROM item WHERE id = 1"); err != nil {
		return "nobody: " + out
	}
	if _, err := psql("SHOW freshet.version"); err != nil {
		return "Postgres"
	}
	return "sidecar"
}

func answersPgx(t *testing.T, dsn string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return "nobody: " + err.Error()
	}
	defer conn.Close(context.Background())
	var name, version string
	if err := conn.QueryRow(t.Context(), "SELECT name FROM item WHERE id = 1").Scan(&name); err != nil {
		return "nobody: " + err.Error()
	}
	if conn.QueryRow(t.Context(), "SHOW freshet.version").Scan(&version) != nil {
		return "Postgres"
	}
	return "sidecar"
}

// javaAnswers starts a program that goes on while sidecars come and go, and remembers
// which host did not answer.
func javaAnswers(t *testing.T, url string) func() string {
	t.Helper()
	program, err := failoverProgram()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "java", append(program[:len(program):len(program)], url)...)
	command.Stderr = os.Stderr
	in, out := startPiped(t, command) // javac, of the same package, was there
	t.Cleanup(func() {
		in.Close()
		_ = command.Wait() // killed, if the test has ended before it
	})
	lines := bufio.NewReader(out)
	return func() string {
		if _, err := io.WriteString(in, "again\n"); err != nil {
			return "nobody: " + err.Error()
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return "nobody: " + err.Error()
		}
		return strings.TrimSpace(line)
	}
}
