package main

import (
	"fmt"
	"testing"
)

// Where nobody reads a sidecar has two connections to Postgres, and three while the same
// statement is read, besides those of its clients and that of the analysis, which is let go a
// minute after it was needed.
func TestConnectionsOfAnIdleSidecar(t *testing.T) {
	t.Parallel()
	dsn, direct := setupFruit(t)
	s := start(t, testConfig(t, dsn, "--watch", "public.*", "--rest-after", "200ms", "--verify", "0"))
	const others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'freshet follower'"
	conn := client(t, s)
	reading := func() string {
		if _, err := conn.Exec(t.Context(), "SELECT name FROM fruit WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		if open := s.Report().UpstreamConnections; open["follower"] != 3 || open["client"] != 1 {
			return fmt.Sprintf("while somebody reads there are %v", open)
		}
		return ""
	}
	// A sidecar that starts has one connection, and then two, and then three.
	eventually(t, reading)
	eventually(t, func() string {
		var n int
		if err := direct.QueryRow(t.Context(), others).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if open := s.Report().UpstreamConnections; n != 2 || open["follower"] != 2 || open["verify"] != 0 || open["client"] != 1 {
			return fmt.Sprintf("Postgres has %d connections of a sidecar at rest, which counts %v", n, open)
		}
		return ""
	})
	eventually(t, reading)
}
