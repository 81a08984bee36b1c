package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// TestRowsFitTheDescriptionThatTheClientHas forces this, in every way to have a statement
// described, while the follower sees nothing:
//
//  1. a session has a statement described;
//  2. the table changes, which the follower does not receive;
//  3. another session loads the rows of now, or the description of now, into the cache;
//  4. the first session executes: it gets rows of its description, or an error, as from
//     Postgres.
func TestRowsFitTheDescriptionThatTheClientHas(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, heldBackSchema(7))
	s := bed.sidecar(patient)
	sql := "SELECT * FROM typed_NN WHERE id = $1"
	use := func(name, id string, parts ...[]byte) step {
		bind := binding{statement: name, values: [][]byte{[]byte(id)}, results: []uint16{1}}.message()
		return synced(join(bind, join(parts...)), msgExecute("", 0))
	}
	parse := func(name string, parts ...[]byte) []byte { return join(msgParse(name, sql), join(parts...)) }
	described := msgDescribe('P', "")
	number := scriptsFirst
	for name, c := range map[string]struct {
		before, others, after []step
	}{
		"named": {
			[]step{synced(parse("p", msgDescribe('S', "p"))), use("p", "1")},
			[]step{{join(parse(""), use("", "2").send), "Z"}},
			[]step{use("p", "2"), use("p", "1")},
		},
		"named, described by others": {
			[]step{synced(parse("p", msgDescribe('S', "p"))), use("p", "1")},
			[]step{synced(parse("", msgDescribe('S', ""))), use("", "2"), synced(parse("", msgDescribe('S', "")))},
			[]step{synced(msgDescribe('S', "p")), use("p", "2"), use("p", "2", described)},
		},
		"named, described with its rows": {
			[]step{synced(parse("p")), use("p", "1", described)},
			[]step{{join(parse(""), use("", "2", described).send), "Z"}, {join(parse(""), use("", "2").send), "Z"}},
			[]step{use("p", "2"), use("p", "2", described)},
		},
		"named, and not described before": {
			[]step{synced(parse("p"))},
			[]step{{join(parse(""), use("", "2", described).send), "Z"}, {join(parse(""), use("", "2").send), "Z"}},
			[]step{synced(msgDescribe('S', "p")), use("p", "2")},
		},
		"with a row limit": {
			[]step{synced(parse("p", msgDescribe('S', "p")))},
			[]step{synced(parse(""), use("", "2").send[:len(use("", "2").send)-2*protocol.HeaderLength-5], msgExecute("", 1))},
			[]step{synced(binding{statement: "p", values: [][]byte{[]byte("2")}, results: []uint16{1}}.message(), msgExecute("", 1))},
		},
		"unnamed": {
			[]step{synced(parse("", msgDescribe('S', "")))},
			[]step{{join(parse(""), use("", "2").send), "Z"}, synced(parse("", msgDescribe('S', "")))},
			[]step{use("", "2"), use("", "1")},
		},
		"all in one group": {
			[]step{{join(parse("", msgDescribe('S', "")), use("", "1").send), "Z"}},
			[]step{{join(parse(""), use("", "2").send), "Z"}},
			[]step{{join(parse("", msgDescribe('S', "")), use("", "2").send), "Z"}, use("", "1")},
		},
	} {
		ddl := [...]string{"ALTER TABLE typed_NN ADD COLUMN w text DEFAULT 'w'", "ALTER TABLE typed_NN ALTER v TYPE bigint"}[number%2]
		t.Run(name, func(t *testing.T) {
			fill := func(m []byte) []byte { return bytes.ReplaceAll(m, []byte("_NN"), fmt.Append(nil, "_", number)) }
			reader, other := dialReader(t, s), dialReader(t, s)
			// The shape is known, but none of the rows.
			for range 3 {
				other.ask(fill(parse("")), use("", "3").send)
			}
			for _, step := range c.before {
				reader.read(fill(step.send))
			}
			s.received()
			bed.freezeFollower(t)
			bed.exec(string(fill([]byte(ddl))))
			for _, step := range append(c.others, c.others...) {
				other.read(fill(step.send))
			}
			for _, step := range append(c.after, c.after...) {
				reader.read(fill(step.send))
			}
			number++
		})
	}
}

// reader is a client that reads rows by the description that it was given last.
type reader struct {
	*rawClient
	types []uint32 // of the columns
	rows  int
}

// dialReader connects a client that is content with what is as old as it may be.
func dialReader(t testing.TB, s *side) *reader {
	t.Helper()
	r := &reader{rawClient: dialRaw(t, s.dsn())}
	r.ask(msgQuery("SET freshet.consistency = 'bounded'"))
	return r
}

// read sends a group and reads its answer as a driver does. The only error that it may
// have is that the description does not hold any more.
func (r *reader) read(group []byte) {
	r.t.Helper()
	if group[0] == 'P' {
		r.types = nil // what was described was another statement
	}
	answer := r.ask(group)
	if err := r.understand(answer); err != nil {
		r.t.Errorf("%s: %v\n%s", showSent(group), err, show(answer))
	}
}

func (r *reader) understand(answer []byte) error {
	for kind, message := range protocol.Messages(answer) {
		body := message[protocol.HeaderLength:]
		switch kind {
		case 'T':
			r.types = columnTypes(body)
		case 'D':
			columns, ok := protocol.DataRow(body)
			if !ok || r.types != nil && len(columns) != len(r.types) {
				return fmt.Errorf("a row has %d columns, and %d were described", len(columns), len(r.types))
			}
			for i := range r.types {
				if width := map[uint32]int{oidInt4: 4, oidInt8: 8}[r.types[i]]; width != 0 && columns[i] != nil && len(columns[i]) != width {
					return fmt.Errorf("column %d has %d bytes, and %d were described", i, len(columns[i]), width)
				}
			}
			r.rows++
		case 'E':
			if !bytes.Contains(body, []byte("\x00C0A000\x00")) {
				return errors.New("an error that Postgres would not have")
			}
		}
	}
	return nil
}

// columnTypes reads the types in the body of a RowDescription.
func columnTypes(body []byte) (types []uint32) {
	for rest := body[2:]; len(rest) > 0; rest = rest[18:] {
		_, rest, _ = protocol.CutString(rest)
		types = append(types, binary.BigEndian.Uint32(rest[6:]))
	}
	return types
}

// freezeFollower stops the server processes that serve the followers of the database,
// until the test ends.
func (b *testbed) freezeFollower(t testing.TB) {
	t.Helper()
	rows, err := b.direct.Query(context.Background(),
		"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'freshet follower%'")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(pids) == 0 {
		t.Fatalf("the followers are served by %v: %v", pids, err)
	}
	signal := func(sig syscall.Signal) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	servers.Eventually(t, "the followers' server processes to hold nothing while they are stopped", func() bool {
		signal(syscall.SIGSTOP)
		if b.idle(pids) {
			return true
		}
		signal(syscall.SIGCONT)
		return false
	})
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
		}
	})
}

// idle reports whether server processes wait for their clients, and so hold no lock that
// anybody else could wait for. One that is stopped may hold up even the question.
func (b *testbed) idle(pids []int) (idle bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.postgres.DSN(b.database))
	if err != nil {
		return false
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(ctx, "SELECT count(*) = $2 FROM pg_stat_activity WHERE pid = ANY ($1) AND state = 'idle'", pids, len(pids)).Scan(&idle)
	return err == nil && idle
}

// TestRowsFitUnderAStormOfColumns: sessions that describe a statement and execute it for
// binary results, while columns come and go, are given no row of another width than
// described.
func TestRowsFitUnderAStormOfColumns(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, heldBackSchema(1))
	s := bed.sidecar()
	storm, stop := context.WithCancel(t.Context())
	defer stop()
	var sessions sync.WaitGroup
	for i := range 6 {
		r := dialReader(t, s)
		if i%2 == 0 {
			r.ask(msgQuery("RESET freshet.consistency"))
		}
		sessions.Go(func() {
			for n := 0; storm.Err() == nil; n++ {
				name := []string{"", fmt.Sprint("s", n)}[i/2%2]
				answer := r.ask(msgParse(name, "SELECT * FROM typed_10 WHERE id = $1"), msgDescribe('S', name), msgSync)
				if err := r.understand(answer); err != nil {
					t.Errorf("described: %v\n%s", err, show(answer))
				}
				for id := range 4 {
					bind := binding{statement: name, values: [][]byte{fmt.Append(nil, id)}, results: []uint16{1}}.message()
					answer := r.ask(bind, msgExecute("", 0), msgSync)
					if err := r.understand(answer); err != nil {
						t.Errorf("executed: %v\n%s", err, show(answer))
					}
				}
			}
		})
	}
	s.stormWithHits(func() {
		bed.exec("ALTER TABLE typed_10 ADD COLUMN w bigint DEFAULT 5")
		bed.exec("ALTER TABLE typed_10 DROP COLUMN w")
		bed.exec("ALTER TABLE typed_10 ALTER v TYPE bigint")
		bed.exec("ALTER TABLE typed_10 ALTER v TYPE int")
	})
	stop()
	sessions.Wait()
}

// stormWithHits makes changes for two seconds, with a pause after every few of them until
// something was answered from memory: a storm without would show nothing.
func (s *side) stormWithHits(change func()) {
	s.bed.t.Helper()
	for begin := time.Now(); time.Since(begin) < 2*time.Second; {
		for range 4 {
			change()
		}
		hits := s.count(HitL1)
		servers.Eventually(s.bed.t, "a hit between the changes", func() bool { return s.count(HitL1) > hits })
	}
}

// TestRowsFitUnderAStormOfTypes: the same of a column whose type becomes another one of
// the same width, and whose value tells which one it is of.
func TestRowsFitUnderAStormOfTypes(t *testing.T) {
	t.Parallel()
	const whole, seven = 10, 0x40e00000 // as an int4, and as the float4 7
	bed := newTestbed(t, "CREATE TABLE swapped (id int PRIMARY KEY, v int); INSERT INTO swapped VALUES (1, 10)")
	s := bed.sidecar()
	storm, stop := context.WithCancel(t.Context())
	defer stop()
	var sessions sync.WaitGroup
	for i := range 4 {
		client := dialRaw(t, s.dsn())
		sessions.Go(func() {
			for n := 0; storm.Err() == nil; n++ {
				name := []string{"", fmt.Sprint("s", n)}[i%2]
				want := map[uint32]uint32{pgtype.Int4OID: whole, pgtype.Float4OID: seven}
				var told uint32
				for kind, m := range protocol.Messages(client.ask(msgParse(name, "SELECT * FROM swapped"), msgDescribe('S', name), msgSync)) {
					if kind == 'T' {
						told = columnTypes(m[protocol.HeaderLength:])[1]
					}
				}
				use := join(binding{statement: name, results: []uint16{1}}.message(), msgExecute("", 0), msgSync)
				for kind, m := range protocol.Messages(join(client.ask(use), client.ask(use))) {
					if got := binary.BigEndian.Uint32(m[len(m)-4:]); kind == 'D' && told != 0 && got != want[told] {
						t.Errorf("%q was described with type %d, and gives %x", name, told, got)
					}
				}
			}
		})
	}
	s.stormWithHits(func() {
		bed.exec("ALTER TABLE swapped ALTER v TYPE float4 USING 7")
		s.received() // or nothing would be kept that is of this type
		bed.exec("ALTER TABLE swapped ALTER v TYPE int USING 10")
		s.received()
	})
	stop()
	sessions.Wait()
}
