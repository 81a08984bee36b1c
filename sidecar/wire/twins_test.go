package wire

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// twins are two databases of the same content. plain is asked directly, the other one through side, and
// through elsewhere if that is set: sidecars that share nothing but their database.
type twins struct {
	t     testing.TB
	plain *testbed
	side  *side
	// elsewhere, unless nil, serves the sessions with odd numbers.
	elsewhere *side
	// idle are connections to plain that an earlier script has used and giveBack has made like new.
	idle []*rawClient
}

// newTwins makes two databases of a schema, and a sidecar with the options for the second one.
func newTwins(t testing.TB, schema string, options ...sideOption) *twins {
	t.Helper()
	return twinsOf(t, newTestbed(t, schema), newTestbed(t, schema), options...)
}

// twinsOf makes twins of two databases of the same schema, with a sidecar for the second one.
func twinsOf(t testing.TB, plain, cached *testbed, options ...sideOption) *twins {
	return &twins{t: t, plain: plain, side: cached.sidecar(options...)}
}

// turn is a step of one of several sessions, or a change of the databases.
type turn struct {
	session int
	step
	direct string // SQL that is executed on the databases directly, instead of the step; empty if none is
	// here is set if the sidecar has to answer the step by itself: nothing of it may reach Postgres.
	here bool
}

// play plays a script on both databases, and compares all answers.
func (w *twins) play(t testing.TB, turns []turn) {
	t.Helper()
	change := func(sql string) {
		w.plain.exec(sql)
		w.side.bed.exec(sql)
		w.side.received()
	}
	connect := func(session int) [2]*rawClient {
		side := w.side
		if w.elsewhere != nil && session%2 == 1 {
			side = w.elsewhere
		}
		return [2]*rawClient{w.direct(t), dialRaw(t, side.dsn())}
	}
	compareTurns(t, turns, change, connect, w.giveBack, w.side.bed.direct)
}

// direct returns a connection to plain on which nothing is left of earlier scripts.
func (w *twins) direct(t testing.TB) *rawClient {
	last := len(w.idle) - 1
	if last < 0 {
		c := dialRaw(w.t, w.plain.postgres.DSN(w.plain.database)) // the connection outlives the script's own test
		c.t = t
		return c
	}
	c := w.idle[last]
	w.idle, c.t = w.idle[:last], t
	return c
}

// giveBack makes a connection to plain like new and keeps it for the next script, as a connection
// costs Postgres more than most scripts. A connection that cannot be made like new is closed.
func (w *twins) giveBack(c *rawClient) {
	if err := c.trySend(join(msgSync, msgQuery("ROLLBACK"), msgQuery("DISCARD ALL"))); err != nil {
		c.conn.Close()
		return
	}
	for discarded := false; ; {
		m, err := c.tryMessage()
		if err != nil {
			c.conn.Close()
			return
		}
		discarded = discarded || m[0] == 'C' && bytes.Contains(m, []byte("DISCARD ALL"))
		if discarded && m[0] == 'Z' {
			w.idle = append(w.idle, c)
			return
		}
	}
}

// compareSessions plays a script on one database, directly and through sidecars, and compares the
// answers. Each session has two connections of its own. Sessions 0 and 1 use the first sidecar, the
// others the second one.
func compareSessions(t testing.TB, bed *testbed, sides []*side, turns []turn) {
	t.Helper()
	compareTurns(t, turns, func(sql string) { bed.exec(sql) }, func(session int) [2]*rawClient {
		dsn := sides[min(session/2, len(sides)-1)].dsn()
		return [2]*rawClient{dialRaw(t, bed.postgres.DSN(bed.database)), dialRaw(t, dsn)}
	}, func(direct *rawClient) { direct.conn.Close() }, bed.direct)
}

// compareTurns plays a script directly and through a sidecar, and compares the answers. change executes
// SQL on the databases; connect returns the two connections of a session, first the direct one; leave
// takes the direct one back in the end. activity is a connection to the server that the sidecar leads
// to, and tells which steps have reached it.
func compareTurns(t testing.TB, turns []turn, change func(sql string), connect func(session int) [2]*rawClient, leave func(direct *rawClient), activity *pgx.Conn) {
	t.Helper()
	sessions := map[int][2]*rawClient{}
	defer func() {
		for _, clients := range sessions {
			leave(clients[0])
			clients[1].conn.Close()
		}
	}()
	for i, turn := range turns {
		if turn.direct != "" {
			change(turn.direct)
			continue
		}
		clients, known := sessions[turn.session]
		if !known {
			clients = connect(turn.session)
			sessions[turn.session] = clients
		}
		var busy time.Time
		if turn.here {
			busy = clients[1].lastBusy(activity)
		}
		var got [2][]byte
		for j, c := range clients {
			c.send(turn.send)
			got[j] = maskTwins(c.until(turn.until))
		}
		if !bytes.Equal(got[0], got[1]) {
			// allFound looks for "the sidecar says" in this message.
			t.Errorf("turn %d, of session %d: %s\nPostgres says\n%s\nthe sidecar says\n%s",
				i, turn.session, showSent(turn.send), show(got[0]), show(got[1]))
		}
		if turn.here && !clients[1].lastBusy(activity).Equal(busy) {
			t.Errorf("turn %d, of session %d: %s\nreached Postgres, want it answered by the sidecar: this script shows nothing", i, turn.session, showSent(turn.send))
		}
	}
}

// lastBusy returns when the client's server process, as activity sees it, began to wait for a message
// last: each message that it is sent, if only a Parse, changes that.
func (c *rawClient) lastBusy(activity *pgx.Conn) (at time.Time) {
	c.t.Helper()
	if err := activity.QueryRow(context.Background(), "SELECT state_change FROM pg_stat_activity WHERE pid = $1", c.pid()).Scan(&at); err != nil {
		c.t.Fatal(err)
	}
	return at
}

// maskTwins takes two things out of an answer: the OIDs of tables, which differ between two databases,
// and the places in Postgres' source code, which an error of the sidecar's own does not name.
func maskTwins(answer []byte) []byte {
	var masked []byte
	for kind, message := range protocol.Messages(answer) {
		body := bytes.Clone(message[protocol.HeaderLength:])
		switch kind {
		case 'T':
			maskTables(body)
		case 'E', 'N':
			body = withoutPlaces(body)
			if bytes.Contains(body, []byte("C0A000\x00")) {
				masked = withoutParameters(masked)
			}
		}
		masked = protocol.AppendMessage(masked, kind, body)
	}
	return masked
}

// withoutParameters takes the ParameterDescription out of an answer. Postgres may send one before it
// finds that a statement cannot be described any more: see the list of differences in
// docs/protocol.md.
func withoutParameters(answer []byte) (kept []byte) {
	for kind, message := range protocol.Messages(answer) {
		if kind != 't' {
			kept = append(kept, message...)
		}
	}
	return kept
}

// maskTables sets the table and the column that each column comes from to 0, in the body of a
// RowDescription.
func maskTables(body []byte) {
	for rest := body[2:]; len(rest) > 0; rest = rest[18:] {
		_, rest, _ = protocol.CutString(rest)
		clear(rest[:6])
	}
}

// withoutPlaces takes file, line and routine out of the body of an error or a notice.
func withoutPlaces(body []byte) (kept []byte) {
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) > 0 && !strings.ContainsRune("FLR", rune(field[0])) {
			kept = append(append(kept, field...), 0)
		}
	}
	return kept
}

// showSent formats messages of a client, each with its kind and the beginning of its body.
func showSent(sent []byte) string {
	var parts []string
	for kind, m := range protocol.Messages(sent) {
		parts = append(parts, fmt.Sprintf("%c%q", kind, m[protocol.HeaderLength:min(len(m), protocol.HeaderLength+100)]))
	}
	return strings.Join(parts, " ")
}
