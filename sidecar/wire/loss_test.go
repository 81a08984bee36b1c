package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// In whatever state a session is when Postgres ends it, its client receives what a client of
// Postgres itself would receive, and no more.
func TestSessionEndsAsPostgresEndsItInEveryState(t *testing.T) {
	t.Parallel()
	bed, s := bedForStates(t)
	for _, state := range sessionStates {
		t.Run(state.name, func(t *testing.T) {
			play := func(dsn string) []byte {
				bed.exec("TRUNCATE scratch")
				c := dialRaw(t, dsn)
				c.send(state.enter)
				all := c.until(state.until)
				c.reaches(bed, state.there)
				bed.exec("SELECT pg_terminate_backend($1)", binary.BigEndian.Uint32(c.key))
				return append(all, c.rest()...)
			}
			want := play(bed.postgres.DSN(bed.database))
			for range 2 {
				if got := play(s.dsn()); !bytes.Equal(want, got) {
					t.Errorf("Postgres says\n%s\nthe sidecar says\n%s", show(want), show(got))
				}
			}
		})
	}
}

// When the whole server stops, the connections through the sidecar end as the direct ones do.
func TestSessionsEndAsTheServerStopsInEveryState(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	bed := newTestbedOn(t, pg, casesSchema)
	s := bed.sidecar()
	for _, mode := range []servers.StopMode{servers.Fast, servers.Immediate} {
		var clients [2][]*rawClient
		for i, dsn := range []string{pg.DSN(bed.database), s.dsn()} {
			for _, state := range sessionStates {
				if state.name == "waiting for a lock" || state.name == "in an open transaction" {
					continue // the first waits for a lock of bedForStates, the second would have the other client wait for its lock
				}
				c := dialRaw(t, dsn)
				c.send(state.enter)
				c.until(state.until)
				c.reaches(bed, state.there)
				clients[i] = append(clients[i], c)
			}
		}
		if err := pg.Stop(mode); err != nil {
			t.Fatal(err)
		}
		for n, direct := range clients[0] {
			want, got := direct.rest(), clients[1][n].rest()
			if !bytes.Equal(want, got) {
				t.Errorf("%s stop: client %d: Postgres says\n%s\nthe sidecar says\n%s", mode, n, show(want), show(got))
			}
		}
		if err := pg.Start(); err != nil {
			t.Fatal(err)
		}
		bed.direct = bed.connect(pg.DSN(bed.database))
		mustHit(t, s)
	}
}

// A client that sends Terminate, or closes its sending side, behind statements that are not
// answered yet receives what it would receive from Postgres itself: the answers come first.
func TestLeavingClientReceivesItsAnswers(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, differentialSchema)
	s := bed.sidecar()
	slow := "SELECT pg_sleep(0.05), 'slow'"
	for name, send := range map[string][]byte{
		"nothing":                       nil,
		"hits":                          join(msgQuery(readItem3), read("3"), msgSync),
		"a slow query":                  msgQuery(slow),
		"pipeline":                      join(msgQuery(readItem3), msgQuery(slow), read("3"), msgSync, msgQuery("SELECT 1/0"), msgQuery(readItem3)),
		"group":                         join(msgParse("", slow), msgBind(""), msgExecute("", 0), msgSync),
		"without Sync":                  join(msgParse("", slow), msgBind(""), msgExecute("", 0), msgFlush),
		"transaction":                   join(msgQuery("BEGIN"), msgQuery("INSERT INTO scratch VALUES (1, 'x')"), msgQuery("SELECT * FROM scratch")),
		"a large answer":                msgQuery("SELECT body FROM big"),
		"COPY without its end":          join(msgQuery("COPY scratch FROM STDIN"), msgCopyData("5\tx\n")),
		"cut off":                       join(msgQuery(slow), msgQuery(readItem3)[:9]),
		"a BEGIN held back":             msgQuery("BEGIN"),
		"a BEGIN held back, and a read": join(msgQuery("BEGIN"), msgQuery(readItem3)),
	} {
		for _, goodbye := range []string{"Terminate", "half-closed"} {
			if name == "cut off" && goodbye == "Terminate" {
				continue // Terminate would be a part of the message that is cut off
			}
			play := func(dsn string) []byte {
				bed.exec("TRUNCATE scratch")
				c := dialRaw(t, dsn)
				if goodbye == "Terminate" {
					c.send(append(send[:len(send):len(send)], msgTerminate...))
					return c.rest()
				}
				c.send(send)
				if err := c.conn.(*net.UnixConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				return c.rest()
			}
			want := play(bed.postgres.DSN(bed.database))
			for range 3 {
				if got := play(s.dsn()); !bytes.Equal(want, got) {
					t.Errorf("%s, %s: Postgres says\n%s\nthe sidecar says\n%s", name, goodbye, show(want), show(got))
				}
			}
		}
	}
}
