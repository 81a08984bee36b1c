package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

// In whatever state a session is when Postgres ends it, its client hears what
// Postgres' own client would have heard, and no more.
func TestUpstreamLostInEveryState(t *testing.T) {
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

// When the whole server goes, the connections end as they end directly.
func TestServerLostInEveryState(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.PostgresOptions{})
	bed := newTestbedOn(t, pg, casesSchema)
	s := bed.sidecar()
	for _, mode := range []servers.StopMode{servers.Fast, servers.Immediate} {
		var clients [2][]*rawClient
		for i, dsn := range []string{pg.DSN(bed.database), s.dsn()} {
			for _, state := range sessionStates {
				if state.name == "waiting for a lock" || state.name == "in an open transaction" {
					continue // it would wait for its twin's lock
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

// Who says goodbye, or ends its side of the connection, behind statements that are
// not answered yet, gets the answers.
func TestClientLeavesBehindUnansweredStatements(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, casesSchema)
	s := bed.sidecar()
	slow := "SELECT pg_sleep(0.05), 'slow'"
	for name, send := range map[string][]byte{
		"nothing":       nil,
		"hits":          join(msgQuery(readItem3), read("3"), msgSync),
		"slow":          msgQuery(slow),
		"pipeline":      join(msgQuery(readItem3), msgQuery(slow), read("3"), msgSync, msgQuery("SELECT 1/0"), msgQuery(readItem3)),
		"group":         join(msgParse("", slow), msgBind(""), msgExecute("", 0), msgSync),
		"without Sync":  join(msgParse("", slow), msgBind(""), msgExecute("", 0), msgFlush),
		"transaction":   join(msgQuery("BEGIN"), msgQuery("INSERT INTO scratch VALUES (1, 'x')"), msgQuery("SELECT * FROM scratch")),
		"large":         msgQuery("SELECT body FROM big"),
		"copy":          join(msgQuery("COPY scratch FROM STDIN"), msgCopyData("5\tx\n")),
		"cut off":       join(msgQuery(slow), msgQuery(readItem3)[:9]),
		"held":          msgQuery("BEGIN"),
		"held and read": join(msgQuery("BEGIN"), msgQuery(readItem3)),
	} {
		for _, goodbye := range []string{"Terminate", "half-closed"} {
			if name == "cut off" && goodbye == "Terminate" {
				continue // it would be a part of the message
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
