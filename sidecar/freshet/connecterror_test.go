package main

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// Why a command cannot connect stands in one line, the last attempt's cause first and each once;
// that a server has no TLS is no cause where it need not have it.
func TestConnectErrorsSayWhatToMend(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{TCP: true, HBA: []string{
		"host all " + servers.Follower + " 127.0.0.1/32 scram-sha-256", "host template1 all 127.0.0.1/32 reject",
	}})
	host, port, _ := strings.Cut(pg.TCPAddress(), ":")
	free := boundPort(t)
	for _, c := range []struct{ dsn, says string }{
		{"user=" + servers.Follower + " password=no dbname=postgres", "wrong password for " + servers.Follower + " (SQLSTATE 28P01)"},
		{"user=postgres dbname=none", "there is no database none (SQLSTATE 3D000)"},
		{"user=nobody_has_that dbname=postgres", `nobody_has_that may not connect: role "nobody_has_that" does not exist (SQLSTATE 28000)`},
		{"user=postgres dbname=template1", "postgres may not connect: pg_hba.conf rejects connection"},
		{"user=postgres dbname=postgres sslmode=require", "the server has no TLS, and sslmode demands it"},
		{"user=postgres port=" + free, "nobody listens on 127.0.0.1:" + free + " (connection refused)"},
		{"user=postgres host=/nowhere", "there is no socket /nowhere/.s.PGSQL." + port + " (no such file or directory)"},
		{"user=postgres host=/nowhere,127.0.0.1 port=5432," + port + " dbname=none", "there is no database none (SQLSTATE 3D000); before that: there is no socket /nowhere/.s.PGSQL.5432"},
	} {
		dsn := fmt.Sprintf("host=%s port=%s %s", host, port, c.dsn)
		for _, arguments := range [][]string{{"uninstall", "--upstream", dsn}, {"purge", "--all", "--yes", "--upstream", dsn}} {
			code, _, stderr := freshet(t, arguments...)
			line := "freshet: connect to Postgres (--upstream): " + c.says
			if code != exitFailure || !strings.HasPrefix(stderr, line) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "tls error") {
				t.Errorf("%s: exit code %d, %s", c.dsn, code, stderr)
			}
		}
	}
}

// boundPort is a port of 127.0.0.1 that is taken, and nobody listens on.
func boundPort(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(bound.(*syscall.SockaddrInet4).Port)
}
