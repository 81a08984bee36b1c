package wire

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/loadtest/allocations"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// exchange is a statement that a session of a real sidecar, without its sockets, sends to Postgres,
// and the answer that Postgres would give.
type exchange struct {
	c      *session
	unit   func(id int) []byte // the statement with a value
	answer []byte
	next   int // the last value that was sent
}

// once has the session send the statement with the next value, and relay the answer.
func (e *exchange) once(t testing.TB) {
	e.next++
	unit := e.unit(e.next)
	e.c.now = 0
	if kind, n := protocol.NextUnit(unit); n != len(unit) || !e.c.handle(kind, unit) || len(e.c.toUp) == 0 {
		t.Fatalf("value %d: the statement is not sent to Postgres", e.next)
	}
	e.c.toUp = e.c.toUp[:0]
	answer := append(e.c.relay.scratch[:0], e.answer...)
	if n, _ := e.c.take(answer, &e.c.relay.partial, nil); n != len(answer) || e.c.talk.Owed() {
		t.Fatalf("value %d: %d of %d bytes of the answer are taken, and Postgres owes an answer: %v", e.next, n, len(answer), e.c.talk.Owed())
	}
	for i := range e.c.relay.measured {
		e.c.server.measureRelayed(&e.c.relay.measured[i])
	}
	e.c.relay.measured = e.c.relay.measured[:0]
	e.c.relay.scratch = answer
}

// exchanges are a miss and a relayed read, which cannot be cached, each as a Query and as a group
// with a prepared statement.
func exchanges(t testing.TB, s *side) map[string]*exchange {
	rows := protocol.AppendMessage(nil, 'D', []byte("\x00\x02\x00\x00\x00\x04name\x00\x00\x00\x011"))
	rows = protocol.AppendMessage(rows, 'C', []byte("SELECT 1\x00"))
	rows = protocol.AppendMessage(rows, 'Z', []byte("I"))
	column := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"
	described := protocol.AppendMessage(nil, 'T', []byte("\x00\x02name\x00"+column+"version\x00"+column))
	simple := append(described, rows...)
	prepared := append(append([]byte(protocol.BindComplete), described...), rows...)
	all := map[string]*exchange{}
	for way, condition := range map[string]string{"miss": "", "relayed": " AND random() >= 0"} {
		text := "SELECT name, version FROM public.item WHERE id = "
		c, _, _ := warmSession(t, s)
		var unit, number []byte
		all["simple "+way] = &exchange{c: c, answer: simple, unit: func(id int) []byte {
			number = strconv.AppendInt(number[:0], int64(id), 10)
			unit = append(append(append(append(unit[:0], "Q\x00\x00\x00\x00"...), text...), number...), condition...)
			unit = append(unit, 0)
			putLength(unit)
			return unit
		}}
		c, _, _ = warmSession(t, s)
		statement, _ := c.statements.Intern([]byte(text + "$1" + condition + "\x00\x00\x00"))
		p := parsed(statement)
		p.Meaning.Store(c.meaning())
		c.statements.Assign("m", p)
		tail := protocol.AppendMessage(nil, 'D', []byte("P\x00"))
		tail = protocol.AppendMessage(tail, 'E', []byte("\x00\x00\x00\x00\x00"))
		tail = protocol.AppendMessage(tail, 'S')
		var group, value []byte
		all["prepared "+way] = &exchange{c: c, answer: prepared, unit: func(id int) []byte {
			value = strconv.AppendInt(value[:0], int64(id), 10)
			group = append(group[:0], "B\x00\x00\x00\x00\x00m\x00\x00\x00\x00\x01\x00\x00\x00"...)
			group = append(append(group, byte(len(value))), value...)
			group = append(group, "\x00\x00"...)
			putLength(group)
			group = append(group, tail...)
			return group
		}}
	}
	for _, e := range all {
		e.next = 1000
		e.once(t) // has the statement analysed
		s.allAnalysed()
		e.once(t)
	}
	return all
}

// putLength writes the length of the one message in b into its header.
func putLength(b []byte) { binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1)) }

// A miss allocates only what is kept: the entry, its bytes, the item that memory keeps the entry in,
// and what Ristretto is given that item in. What a load is made with is used again. A Query costs a
// few more, as its text is kept besides, and taken apart.
func TestMissAllocatesOnlyWhatIsKept(t *testing.T) {
	bed := newTestbed(t, itemSchema)
	s := bed.sidecar()
	for name, e := range exchanges(t, s) {
		most := map[string]float64{"prepared miss": 4, "simple miss": 11, "prepared relayed": 0, "simple relayed": 5}[name]
		if raceDetector {
			most += 8 // pools lose some of what is put into them
		}
		missed := s.count(Miss)
		n := allocations.Fewest(2000, func() { e.once(t) })
		if n > most {
			t.Errorf("%s: %v allocations, want %v at most", name, n, most)
		}
		if missed = s.count(Miss) - missed; missed != 0 != strings.HasSuffix(name, "miss") {
			t.Errorf("%s: %d misses, want some: %v", name, missed, strings.HasSuffix(name, "miss"))
		}
	}
}

// exchangesAtOnce is how many of one kind follow one another in a turn.
const exchangesAtOnce = 2000

// BenchmarkMiss reports the processor time of a miss and of a relayed read without their sockets.
// They take turns, and the median of each is reported, since the machine may do other work. b.N is
// the number of turns.
func BenchmarkMiss(b *testing.B) {
	bed := newTestbed(b, itemSchema)
	all := exchanges(b, bed.sidecar())
	spent := map[string][]time.Duration{}
	for b.Loop() {
		for name, e := range all {
			before := processorTime(b)
			for range exchangesAtOnce {
				e.once(b)
			}
			spent[name] = append(spent[name], (processorTime(b)-before)/exchangesAtOnce)
		}
	}
	for name, took := range spent {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2]), strings.ReplaceAll(name, " ", "-")+"-ns")
	}
	b.ReportMetric(0, "ns/op")
}
