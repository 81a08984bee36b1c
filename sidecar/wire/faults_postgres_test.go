package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// lost reports whether an error is one that clients of Postgres see when it
// stops, crashes or starts: the connection is gone, or Postgres says why.
func lost(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return slices.Contains([]string{
			"57P01", // terminating connection due to administrator command
			"57P02", // … because of crash of another server process
			"57P03", // the database system is starting up, shutting down, in recovery
			"08006", // the sidecar cannot connect to Postgres
		}, said.Code)
	}
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// crash kills any one backend that belongs to none of these clients, whereupon Postgres ends all
// others and recovers, and waits for that.
func crash(t *testing.T, pg *servers.Postgres, database string, clients ...*rawClient) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), pg.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var pid int
	others := []int32{int32(conn.PgConn().PID())}
	for _, c := range clients {
		others = append(others, int32(c.pid()))
	}
	err = conn.QueryRow(context.Background(), `SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> ALL ($1) AND datname = current_database() ORDER BY random() LIMIT 1`, others).Scan(&pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		servers.Eventually(t, "the backend to be gone", func() bool { return syscall.Kill(pid, 0) != nil })
	}
	servers.Eventually(t, "Postgres to recover", func() bool {
		again, err := pgx.Connect(context.Background(), pg.DSN(database))
		if err != nil {
			return false
		}
		defer again.Close(context.Background())
		return again.Ping(context.Background()) == nil
	})
}

// withoutLastWords returns what a server process said to its client, or nil if it said that it had
// lost the postmaster.
func withoutLastWords(said []byte) []byte {
	if bytes.Contains(said, []byte("unexpected postmaster exit")) {
		return nil
	}
	return said
}

// While Postgres is restarted, killed or loses a backend, reads keep their promises and clients see
// only errors of a lost connection. An idle client is told the same as by Postgres itself, and hits
// come back.
func TestPromisesHoldThroughFaultsOfPostgres(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(t *testing.T, pg *servers.Postgres, database string, clients ...*rawClient){
		"restarted": func(t *testing.T, pg *servers.Postgres, _ string, _ ...*rawClient) {
			if err := pg.Restart(); err != nil {
				t.Fatal(err)
			}
		},
		"stopped in immediate mode and started": func(t *testing.T, pg *servers.Postgres, _ string, _ ...*rawClient) {
			if err := errors.Join(pg.Stop(servers.Immediate), pg.Start()); err != nil {
				t.Fatal(err)
			}
		},
		"killed": func(t *testing.T, pg *servers.Postgres, _ string, _ ...*rawClient) {
			pg.Kill()
			if err := pg.Start(); err != nil {
				t.Fatal(err)
			}
		},
		"backend killed": crash,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg := servers.StartPostgres(t, servers.PostgresOptions{})
			bed := newTestbedOn(t, pg, itemSchema)
			r := servers.StartRedis(t, servers.RedisOptions{})
			first, second := bed.sidecar(withRedis(r.URL())), bed.sidecar(withRedis(r.URL()))
			idle, idleDirect := dialRaw(t, first.dsn()), dialRaw(t, pg.DSN(bed.database))
			idle.ask(msgQuery("SELECT version FROM item WHERE id = 1"))
			p := hold(t, bed, lost, first, second)
			p.goOn()
			fault(t, pg, bed.database, idle, idleDirect)
			want, got := idleDirect.rest(), idle.rest()
			if name == "killed" {
				// Whether a server process still tells its client that the postmaster is gone
				// depends on which of the two is killed first.
				want, got = withoutLastWords(want), withoutLastWords(got)
			}
			if !bytes.Equal(want, got) {
				t.Errorf("an idle client is told\n%s\nby Postgres, and by the sidecar\n%s", show(want), show(got))
			}
			p.goOn()
			fault(t, pg, bed.database)
			p.goOn()
			p.end()
			if p.errors < readersPerSide*2 {
				t.Errorf("%d errors reached clients, want %d at least: the fault did not happen", p.errors, readersPerSide*2)
			}
			for _, s := range []*side{first, second} {
				mustHit(t, s)
			}
		})
	}
}

// mustHit waits until reads through a sidecar are answered from memory.
func mustHit(t *testing.T, s *side) {
	t.Helper()
	servers.Eventually(t, "hits to come back", func() bool {
		before := s.count(HitL1)
		for range 2 {
			s.psql("SELECT name FROM item WHERE id = 98")
		}
		return s.count(HitL1) > before
	})
}

// While Postgres is down, a client that connects is refused in time with an error of the protocol
// and a hint. Once Postgres is back, reads hit again.
func TestClientsAreRefusedWhilePostgresIsDown(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	bed := newTestbedOn(t, pg, itemSchema)
	s := bed.sidecar()
	if err := pg.Stop(servers.Fast); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		began := time.Now()
		_, err := pgx.Connect(t.Context(), s.dsn())
		var said *pgconn.PgError
		if !errors.As(err, &said) {
			t.Fatalf("without Postgres a client gets %v, not an error of the protocol", err)
		}
		if said.Severity != "FATAL" || said.Code != "08006" || said.Hint == "" {
			t.Errorf("without Postgres a client gets %+v, want FATAL 08006 with a hint", said)
		}
		if took := time.Since(began); took > bystanderWaitMax {
			t.Errorf("the error took %v, want %v at most", took, bystanderWaitMax)
		}
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	mustHit(t, s)
}

// A client whose backend is terminated is told the same as by Postgres itself. Other clients do not
// notice, and nothing of the session is left behind.
func TestTerminatedBackendEndsOneClient(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	b := watch(t, s)
	before := measure(t)
	victim := func(dsn string) []byte {
		c := dialRaw(t, dsn)
		var pid string
		for kind, m := range protocol.Messages(c.ask(msgQuery("SELECT pg_backend_pid()"))) {
			if kind == 'D' {
				pid = string(m[protocol.HeaderLength+6:])
			}
		}
		c.ask(msgQuery("SELECT name FROM item WHERE id = 3"))
		bed.exec("SELECT pg_terminate_backend($1::text::int)", pid)
		return c.rest()
	}
	want := victim(bed.postgres.DSN(bed.database))
	for range 3 {
		if got := victim(s.dsn()); !bytes.Equal(got, want) {
			t.Errorf("a client whose backend is terminated is told\n%s\nby Postgres, and by the sidecar\n%s", show(want), show(got))
		}
		b.mustGoOn(t)
	}
	before.mustReturnTo(t)
}
