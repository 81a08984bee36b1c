package observe

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

func message(kind byte, parts ...string) []byte {
	return protocol.AppendMessage(nil, kind, []byte(strings.Join(parts, "")))
}

// startup is the start-up message of a session of app.
var startup = append([]byte{0, 0, 0, 60, 0, 3, 0, 0}, "user\x00app\x00database\x00shop\x00options\x00-c search_path=a -cDateStyle=German\x00\x00"...)

// newObserver is one that connects to nothing, whose units are read by the test.
func newObserver(t *testing.T) *Observer {
	t.Helper()
	config, err := pgx.ParseConfig("host=/nowhere user=u")
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Options{ConnConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	return o
}

// What passes is cut as it comes: whatever the pieces, the same units are seen.
func TestTapReadsPieces(t *testing.T) {
	t.Parallel()
	bind := message('B', "\x00s\x00", "\x00\x00", "\x00\x01", "\x00\x00\x00\x01", "7", "\x00\x00")
	var client, postgres []byte
	for range 3 {
		client = append(client, message('Q', "SELECT 1\x00")...)
		client = append(client, message('P', "s\x00", "SELECT $1\x00", "\x00\x01\x00\x00\x00\x17")...)
		client = append(client, bind...)
		client = append(client, message('E', "\x00", "\x00\x00\x00\x00")...)
		client = append(client, message('S')...)
		client = append(client, message('Q', strings.Repeat("x", keptMax)+"\x00")...)
		postgres = append(postgres, message('D', strings.Repeat("d", 9000))...)
		postgres = append(postgres, message('C', "SELECT 1\x00")...)
		postgres = append(postgres, message('Z', "I")...)
		postgres = append(postgres, message('N', "hm")...)
		postgres = append(postgres, message('1')...)
		postgres = append(postgres, message('2')...)
		postgres = append(postgres, message('C', "UPDATE 3\x00")...)
		postgres = append(postgres, message('Z', "T")...)
		postgres = append(postgres, message('E', "no\x00")...)
		postgres = append(postgres, message('Z', "E")...)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for pieces := range 30 {
		o := newObserver(t)
		tap := o.Tap(startup)
		feed := func(b []byte, to func([]byte)) {
			for len(b) > 0 {
				n := len(b)
				if pieces > 0 {
					n = min(n, 1+random.IntN(1<<random.IntN(14)))
				}
				to(b[:n])
				b = b[n:]
			}
		}
		feed(client, tap.FromClient)
		if !tap.Owes() {
			t.Fatal("Postgres owes answers, and it says that it does not")
		}
		feed(postgres, tap.FromPostgres)
		if tap.Owes() || tap.blind {
			t.Fatal("it has not understood what passed")
		}
		var seen []string
		for range 9 {
			u := <-o.units
			e := &u.executions[0]
			seen = append(seen, fmt.Sprintf("%.9s %s %d %d %c%c %v %v", e.sql, e.tag, e.rows(), e.bytes, u.before, u.after, u.failed, u.long))
		}
		once := []string{"SELECT 1 SELECT 1 1 9005 ?I false false", "SELECT $1 UPDATE 3 3 0 IT false false", "  0 0 TE true true"}
		for i, got := range seen {
			want := once[i%3]
			if i == 0 {
				want = strings.Replace(want, "?", "I", 1)
			}
			if i%3 == 0 {
				want = strings.Replace(want, "?", "E", 1)
			}
			if got != want {
				t.Fatalf("unit %d is %q, want %q", i, got, want)
			}
		}
	}
}

// Bytes that are no protocol, of either side, end the reading of their session: what was owed is
// owed no more, no unit is seen any more, and the session is counted as lost. Another session is
// read as before.
func TestTapGivesUp(t *testing.T) {
	t.Parallel()
	query, ready := message('Q', "SELECT 1\x00"), message('Z', "I")
	nonsense := []byte("GET / HTTP/1.1\r\n\r\n\xff\xff\xff\xff")
	for name, say := range map[string]func(*Tap, []byte){"the client": (*Tap).FromClient, "Postgres": (*Tap).FromPostgres} {
		o := newObserver(t)
		tap, other := o.Tap(startup), o.Tap(startup)
		tap.FromClient(query)
		if !tap.Owes() {
			t.Fatalf("%s: Postgres owes an answer, and the tap says that it does not", name)
		}
		say(tap, nonsense)
		if tap.Owes() {
			t.Errorf("%s: an answer is still owed in a session that is not understood", name)
		}
		tap.FromClient(query)
		tap.FromPostgres(ready)
		if tap.Owes() || len(o.units) > 0 {
			t.Errorf("%s: a session that is not understood goes on to be read: it owes an answer: %v, %d units", name, tap.Owes(), len(o.units))
		}
		if lost := o.Report().Lost; lost != 1 {
			t.Errorf("%s: %d sessions are lost, want 1", name, lost)
		}
		other.FromClient(query)
		other.FromPostgres(ready)
		if n := len(o.units); n != 1 {
			t.Errorf("%s: %d units of the other session were seen, want 1", name, n)
		}
	}
}

// Who offers more than is looked at is not held up: the rest is counted.
func TestMoreThanIsLookedAt(t *testing.T) {
	t.Parallel()
	o := newObserver(t)
	tap := o.Tap(startup)
	for range unitsMax + 10 {
		tap.FromClient(message('Q', "SELECT 1\x00"))
		tap.FromPostgres(message('Z', "I"))
	}
	if left := o.Report().Unseen; left != 10 {
		t.Errorf("%d were left out, want 10", left)
	}
}

// What a session sets is part of what its statements mean, if answers depend on it.
func TestSettingsOfClients(t *testing.T) {
	t.Parallel()
	c := newClient(startup)
	if c.role != "app" || c.database != "shop" || c.settings["search_path"].value != "a" || c.settings["datestyle"].value != "German" {
		t.Fatalf("of the start-up it knows %+v", c)
	}
	begun := c.state()
	for _, sql := range []string{"SET statement_timeout = 5", "set application_name to 'x'", "SET LOCAL lock_timeout = 1"} {
		if c.set(sql); c.state() != begun {
			t.Errorf("%s: it is taken for another state", sql)
		}
	}
	for _, sql := range []string{"SET search_path TO b, c", "SET TIME ZONE 'UTC'", "set session timezone='CET'", "SET ROLE other", "SET datestyle=ISO", "RESET ROLE", "RESET ALL"} {
		before := c.state()
		if c.set(sql); c.state() == before {
			t.Errorf("%s: it is taken for the same state", sql)
		}
	}
	c.set("SET SESSION search_path = b, c;")
	if got := c.settings["search_path"].value; got != "b, c" {
		t.Errorf("search_path is %q", got)
	}
	c.set("SET ROLE 'x'")
	if c.actingRole() != "x" {
		t.Errorf("it acts as %s", c.actingRole())
	}
	for _, odd := range []string{"SET", "RESET", "SET LOCAL", "SET SESSION", "DISCARD", "SET x", "SET =", "SET TIME", "SET x TO"} {
		c.set(odd)
	}
}
