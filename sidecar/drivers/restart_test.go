package drivers

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// A sidecar takes another's place under pools that renew their connections, as most are told
// to: no statement fails, and nobody who connects is refused.
func TestTakeOverUnderPools(t *testing.T) {
	t.Parallel()
	programs := map[string]func(*testing.T) []string{
		"node-postgres": func(t *testing.T) []string {
			dir, err := nodePrograms()
			if err != nil {
				t.Fatal(err)
			}
			return []string{"node", filepath.Join(dir, "node_postgres_restart.js")}
		},
		"psycopg2": func(t *testing.T) []string {
			python := pythonClient{modules: "psycopg2, sqlalchemy", packages: "python3-psycopg2 python3-sqlalchemy"}.python(t)
			return []string{python, filepath.Join("testdata", "python", "sqlalchemy_restart_program.py")}
		},
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newWatchedBed(t, "schema.sql")
			before := b.serve()
			b.reset(before)
			p := startPool(t, before.at, program(t))
			p.more(t)
			after := b.serveIn(before.at.host, "--take-over")
			servers.Eventually(t, "the sidecar before to end", func() bool {
				p.more(t)
				return strings.Contains(before.log.String(), "msg=stopped")
			})
			before.end()
			servers.Eventually(t, "the programs to be answered from the cache by the sidecar after", func() bool {
				p.more(t)
				return after.stats().hits() > 0
			})
			if said := p.stop(t); !strings.HasPrefix(said, "0 failed") {
				t.Errorf("%s\n%s", said, p.stderr.String())
			}
		})
	}
}

// pool is a program that uses a pool until it is stopped.
type pool struct {
	lines  *bufio.Scanner
	end    func() error
	stderr bytes.Buffer
}

func startPool(t *testing.T, at endpoint, program []string) *pool {
	t.Helper()
	command := exec.CommandContext(t.Context(), program[0], program[1:]...)
	command.Env = at.environment()
	p := &pool{}
	command.Stderr = &p.stderr
	stdin, stdout := startPiped(t, command)
	p.lines, p.end = bufio.NewScanner(stdout), stdin.Close
	t.Cleanup(func() {
		_ = stdin.Close() // again, if all went well
		_ = command.Wait()
	})
	return p
}

// more waits until the program has done some more.
func (p *pool) more(t *testing.T) {
	t.Helper()
	for range 2 {
		if !p.lines.Scan() {
			t.Fatalf("the program ended: %s", p.stderr.String())
		}
	}
}

// stop ends the program, and returns what it says at last.
func (p *pool) stop(t *testing.T) (last string) {
	t.Helper()
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	for p.lines.Scan() {
		last = p.lines.Text()
	}
	return last
}
