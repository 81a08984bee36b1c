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

// TestRowsFitTheDescriptionThatTheClientHas forces this, for each way to have a statement
// described, while the follower receives nothing:
//
//  1. a session has a statement described;
//  2. the columns of the table change, and the follower does not receive the event;
//  3. another session loads rows with the new columns, or their description, into the cache;
//  4. the first session executes its statement: it must get rows that fit the description it
//     has, or the error of Postgres that the result type has changed.
func TestRowsFitTheDescriptionThatTheClientHas(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, heldBackSchema(14))
	s := bed.sidecar(patient)
	sql := "SELECT * FROM typed_NN WHERE id = $1"
	use := func(name, id string, parts ...[]byte) step {
		bind := binding{statement: name, values: [][]byte{[]byte(id)}, results: []uint16{1}}.message()
		return synced(join(bind, join(parts...)), msgExecute("", 0))
	}
	parse := func(name string, parts ...[]byte) []byte { return join(msgParse(name, sql), join(parts...)) }
	described := msgDescribe('P', "")
	number, fitting := scriptsFirst, 0
	for name, c := range map[string]struct {
		before, others, after []step
	}{
		"a named statement": {
			[]step{synced(parse("p", msgDescribe('S', "p"))), use("p", "1")},
			[]step{{join(parse(""), use("", "2").send), "Z"}},
			[]step{use("p", "2"), use("p", "1")},
		},
		"a named statement, described to others behind the change": {
			[]step{synced(parse("p", msgDescribe('S', "p"))), use("p", "1")},
			[]step{synced(parse("", msgDescribe('S', ""))), use("", "2"), synced(parse("", msgDescribe('S', "")))},
			[]step{synced(msgDescribe('S', "p")), use("p", "2"), use("p", "2", described)},
		},
		"a named statement, described by its portal": {
			[]step{synced(parse("p")), use("p", "1", described)},
			[]step{{join(parse(""), use("", "2", described).send), "Z"}, {join(parse(""), use("", "2").send), "Z"}},
			[]step{use("p", "2"), use("p", "2", described)},
		},
		"a named statement, not described before the change": {
			[]step{synced(parse("p"))},
			[]step{{join(parse(""), use("", "2", described).send), "Z"}, {join(parse(""), use("", "2").send), "Z"}},
			[]step{synced(msgDescribe('S', "p")), use("p", "2")},
		},
		"a named statement, executed with a row limit": {
			[]step{synced(parse("p", msgDescribe('S', "p")))},
			[]step{synced(parse(""), use("", "2").send[:len(use("", "2").send)-2*protocol.HeaderLength-5], msgExecute("", 1))},
			[]step{synced(binding{statement: "p", values: [][]byte{[]byte("2")}, results: []uint16{1}}.message(), msgExecute("", 1))},
		},
		"the unnamed statement": {
			[]step{synced(parse("", msgDescribe('S', "")))},
			[]step{{join(parse(""), use("", "2").send), "Z"}, synced(parse("", msgDescribe('S', "")))},
			[]step{use("", "2"), use("", "1")},
		},
		"the unnamed statement, described and executed in one group": {
			[]step{{join(parse("", msgDescribe('S', "")), use("", "1").send), "Z"}},
			[]step{{join(parse(""), use("", "2").send), "Z"}},
			[]step{{join(parse("", msgDescribe('S', "")), use("", "2").send), "Z"}, use("", "1")},
		},
	} {
		for change, ddl := range map[string]string{
			"a column more": "ALTER TABLE typed_NN ADD COLUMN w text DEFAULT 'w'", "another type": "ALTER TABLE typed_NN ALTER v TYPE bigint",
		} {
			t.Run(name+"/"+change, func(t *testing.T) {
				fill := func(m []byte) []byte { return bytes.ReplaceAll(m, []byte("_NN"), fmt.Append(nil, "_", number)) }
				reader, other := dialReader(t, s), dialReader(t, s)
				// Reads another row than those below, so that the shape is analysed and they stay cold.
				for range 3 {
					other.ask(fill(parse("")), use("", "3").send)
				}
				for _, step := range c.before {
					reader.read(fill(step.send))
				}
				s.received()
				bed.freezeFollower(t)
				bed.exec(string(fill([]byte(ddl))))
				hits := s.count(HitL1)
				for _, step := range append(c.others, c.others...) {
					other.read(fill(step.send))
				}
				if s.count(HitL1) == hits {
					t.Error("no answer with the new columns lies in the cache: this shows nothing")
				}
				for _, step := range append(c.after, c.after...) {
					rows, refused := reader.rows, reader.refused
					reader.read(fill(step.send))
					if n := reader.rows - rows + reader.refused - refused; n != 1 && step.send[0] != 'D' {
						t.Errorf("%s: the client gets %d rows and errors 0A000, want 1", showSent(fill(step.send)), n)
					}
					fitting += reader.rows - rows
				}
				number++
			})
		}
	}
	if fitting == 0 {
		t.Error("no client got a row behind the change: this shows nothing")
	}
}

// reader is a client that checks each row against the description that it was given last.
type reader struct {
	*rawClient
	types []uint32 // the types of the described columns; nil if none were described
	// rows and refused count the rows that have come, and the errors 0A000.
	rows, refused int
}

// dialReader connects a reader whose consistency is bounded: it demands no look, so that an entry may
// lack a change that the follower has not received.
func dialReader(t testing.TB, s *side) *reader {
	t.Helper()
	r := &reader{rawClient: dialRaw(t, s.dsn())}
	r.ask(msgQuery("SET freshet.consistency = 'bounded'"))
	return r
}

// read sends a group and checks its answer with understand.
func (r *reader) read(group []byte) {
	r.t.Helper()
	if group[0] == 'P' {
		r.types = nil // the group parses a statement: the description of another one counts no more
	}
	answer := r.ask(group)
	if err := r.understand(answer); err != nil {
		r.t.Errorf("%s: %v\n%s", showSent(group), err, show(answer))
	}
}

// understand takes the rows of an answer apart as a driver does, and returns an error if a row does
// not fit the description that came last, or if the answer has another error than that the result
// type has changed (0A000).
func (r *reader) understand(answer []byte) error {
	for kind, message := range protocol.Messages(answer) {
		body := message[protocol.HeaderLength:]
		switch kind {
		case 'T':
			r.types = columnTypes(body)
		case 'D':
			columns, ok := protocol.DataRow(body)
			if !ok || r.types != nil && len(columns) != len(r.types) {
				return fmt.Errorf("a row has %d columns, want %d as described", len(columns), len(r.types))
			}
			for i := range r.types {
				if width := map[uint32]int{oidInt4: 4, oidInt8: 8}[r.types[i]]; width != 0 && columns[i] != nil && len(columns[i]) != width {
					return fmt.Errorf("column %d has %d bytes, want %d as described", i, len(columns[i]), width)
				}
			}
			r.rows++
		case 'E':
			if !bytes.Contains(body, []byte("\x00C0A000\x00")) {
				return errors.New("the answer has an error, want none or 0A000")
			}
			r.refused++
		}
	}
	return nil
}

// columnTypes returns the types of the columns in the body of a RowDescription.
func columnTypes(body []byte) (types []uint32) {
	for rest := body[2:]; len(rest) > 0; rest = rest[18:] {
		_, rest, _ = protocol.CutString(rest)
		types = append(types, binary.BigEndian.Uint32(rest[6:]))
	}
	return types
}

// freezeFollower stops the server processes of the followers of the database until the test ends, so
// that the followers receive nothing.
func (b *testbed) freezeFollower(t testing.TB) {
	t.Helper()
	rows, err := b.direct.Query(context.Background(),
		"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'freshet follower%'")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(pids) == 0 {
		t.Fatalf("the followers have the server processes %v, %v, want some", pids, err)
	}
	signal := func(sig syscall.Signal) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	servers.Eventually(t, "the followers' server processes to be idle when they are stopped", func() bool {
		signal(syscall.SIGSTOP)
		if b.idle(pids) {
			return true
		}
		signal(syscall.SIGCONT)
		return false
	})
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT) // the process may have ended
		}
	})
}

// idle reports whether server processes wait for their clients, and so hold no lock for which
// somebody else could wait. If a stopped process does hold a lock, this question itself may wait for
// it: hence its limit of a second.
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

// TestRowsFitUnderAStormOfColumns: while columns come, go and change their types, sessions describe a
// statement and execute it for binary results. No row has another number of columns, or another width
// of a column, than was described.
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
					t.Errorf("Describe: %v\n%s", err, show(answer))
				}
				for id := range 4 {
					bind := binding{statement: name, values: [][]byte{fmt.Append(nil, id)}, results: []uint16{1}}.message()
					answer := r.ask(bind, msgExecute("", 0), msgSync)
					if err := r.understand(answer); err != nil {
						t.Errorf("Execute: %v\n%s", err, show(answer))
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

// stormWithHits makes changes for two seconds. After every four it waits for a hit: a storm without
// hits would show nothing.
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

// TestRowsFitUnderAStormOfTypes does the same with a column that changes between two types of the same
// width. Its value differs with the type, so that a row shows of which type it is.
func TestRowsFitUnderAStormOfTypes(t *testing.T) {
	t.Parallel()
	const whole, seven = 10, 0x40e00000 // the column's value in bytes, as the int4 10 and as the float4 7
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
				var described uint32 // the type of the column
				for kind, m := range protocol.Messages(client.ask(msgParse(name, "SELECT * FROM swapped"), msgDescribe('S', name), msgSync)) {
					if kind == 'T' {
						described = columnTypes(m[protocol.HeaderLength:])[1]
					}
				}
				use := join(binding{statement: name, results: []uint16{1}}.message(), msgExecute("", 0), msgSync)
				for kind, m := range protocol.Messages(join(client.ask(use), client.ask(use))) {
					if got := binary.BigEndian.Uint32(m[len(m)-4:]); kind == 'D' && described != 0 && got != want[described] {
						t.Errorf("statement %q was described with type %d and gives %x, want %x", name, described, got, want[described])
					}
				}
			}
		})
	}
	s.stormWithHits(func() {
		bed.exec("ALTER TABLE swapped ALTER v TYPE float4 USING 7")
		s.received() // or nothing of this type would be kept
		bed.exec("ALTER TABLE swapped ALTER v TYPE int USING 10")
		s.received()
	})
	stop()
	sessions.Wait()
}
