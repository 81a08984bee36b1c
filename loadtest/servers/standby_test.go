package servers_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

func run(t *testing.T, p *servers.Postgres, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// A standby that is paused shows nothing new, one that goes on shows all, and one that is promoted
// is a primary.
func TestStandby(t *testing.T) {
	t.Parallel()
	primary := servers.StartPostgres(t, servers.PostgresOptions{})
	standby := servers.StartStandby(t, primary, servers.PostgresOptions{})
	if err := standby.PauseReplay(); err != nil {
		t.Fatal(err)
	}
	ask := func(p *servers.Postgres, query string) (value bool) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), p.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return value
	}
	const there = "SELECT to_regclass('written') IS NOT NULL"
	run(t, primary, "CREATE TABLE written ()")
	servers.Eventually(t, "the standby to have received the table", func() bool {
		return ask(primary, "SELECT coalesce(bool_and(flush_lsn >= pg_current_wal_flush_lsn()), false) FROM pg_stat_replication")
	})
	if !ask(standby, "SELECT pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn()") || ask(standby, there) {
		t.Fatal("a paused standby went on")
	}
	if err := standby.ResumeReplay(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the standby to catch up", func() bool { return ask(standby, there) })
	if !ask(standby, "SELECT pg_is_in_recovery()") {
		t.Fatal("it is no standby")
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if ask(standby, "SELECT pg_is_in_recovery()") {
		t.Fatal("it was not promoted")
	}
}
