package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// twins are two databases made alike: one is asked directly, the other through sidecars
// that share nothing but their database.
type twins struct {
	t     testing.TB
	plain *testbed
	side  *side
	// elsewhere, unless nil, serves the sessions of odd numbers.
	elsewhere *side
	// idle are connections to Postgres itself that scripts have ended well, and that are
	// as if they were new.
	idle []*rawClient
}

func newTwins(t testing.TB, schema string) *twins {
	t.Helper()
	return twinsOf(t, newTestbed(t, schema), newTestbed(t, schema))
}

// twinsOf returns twins of two databases of the same schema, the second of which is cached.
func twinsOf(t testing.TB, plain, cached *testbed) *twins {
	return &twins{t: t, plain: plain, side: cached.sidecar()}
}

// turn is what one of several sessions sends.
type turn struct {
	session int
	step
	direct string // run on the databases themselves instead
}

// play plays a script on both and compares all that comes back.
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
	compareTurns(t, turns, change, connect, w.giveBack)
}

// direct returns a connection to Postgres itself on which nothing is left of earlier scripts.
func (w *twins) direct(t testing.TB) *rawClient {
	last := len(w.idle) - 1
	if last < 0 {
		c := dialRaw(w.t, w.plain.postgres.DSN(w.plain.database)) // it outlives the script's own test
		c.t = t
		return c
	}
	c := w.idle[last]
	w.idle, c.t = w.idle[:last], t
	return c
}

// giveBack keeps a connection to Postgres itself for the next script: a connection costs
// Postgres more than most scripts do. One that cannot be made like new ends.
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

// compareSessions plays a script on Postgres and through sidecars, on one database, each
// session with connections of its own. Session 2 and the following are of the second
// sidecar.
func compareSessions(t testing.TB, bed *testbed, sides []*side, turns []turn) {
	t.Helper()
	compareTurns(t, turns, func(sql string) { bed.exec(sql) }, func(session int) [2]*rawClient {
		dsn := sides[min(session/2, len(sides)-1)].dsn()
		return [2]*rawClient{dialRaw(t, bed.postgres.DSN(bed.database)), dialRaw(t, dsn)}
	}, func(direct *rawClient) { direct.conn.Close() })
}

// compareTurns plays a script on Postgres and through a sidecar, given how to run SQL on
// the databases themselves, how a session connects to both, and what becomes of its
// connection to Postgres itself.
func compareTurns(t testing.TB, turns []turn, change func(sql string), connect func(session int) [2]*rawClient, leave func(direct *rawClient)) {
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
		var got [2][]byte
		for j, c := range clients {
			c.send(turn.send)
			got[j] = maskTwins(c.until(turn.until))
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Errorf("turn %d of session %d, %s\nPostgres says\n%s\nthe sidecar says\n%s",
				i, turn.session, showSent(turn.send), show(got[0]), show(got[1]))
		}
	}
}

// maskTwins takes out of an answer what two databases do not have alike, or what an error
// of the sidecar's own does not tell: identifiers of tables, and places in Postgres' code.
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

// withoutParameters takes the ParameterDescription out that Postgres may say before it
// finds that a statement cannot be described any more: see the list of differences.
func withoutParameters(answer []byte) (kept []byte) {
	for kind, message := range protocol.Messages(answer) {
		if kind != 't' {
			kept = append(kept, message...)
		}
	}
	return kept
}

func maskTables(body []byte) {
	for rest := body[2:]; len(rest) > 0; rest = rest[18:] {
		_, rest, _ = protocol.CutString(rest)
		clear(rest[:6])
	}
}

func withoutPlaces(body []byte) (kept []byte) {
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) > 0 && !strings.ContainsRune("FLR", rune(field[0])) {
			kept = append(append(kept, field...), 0)
		}
	}
	return kept
}

// showSent prints frontend messages.
func showSent(sent []byte) string {
	var parts []string
	for kind, m := range protocol.Messages(sent) {
		parts = append(parts, fmt.Sprintf("%c%q", kind, m[protocol.HeaderLength:min(len(m), protocol.HeaderLength+100)]))
	}
	return strings.Join(parts, " ")
}
