package observe

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// statement is a prepared one.
type statement struct {
	sql        string
	paramTypes []uint32
}

// execution is one statement that a unit runs.
type execution struct {
	*statement
	// bound is what a Bind says behind its names; nil for a Query.
	bound []byte
	// again is set for a portal that was executed before, limited for a limit of rows.
	again, limited bool
	// known is cleared if the statement was prepared out of sight.
	known bool
	// tag is that of its CommandComplete, and bytes are those of its rows.
	tag   string
	bytes int
	done  bool
}

// unit is what Postgres answers with one ReadyForQuery.
type unit struct {
	client     *client
	simple     bool
	executions []execution
	// parted is set if something was executed before a Flush in it, long if it has a message
	// that is too long to look into.
	parted, long bool
	// sent is when it came from the client, ended when its answer did, and took how long
	// Postgres had it.
	sent, ended time.Time
	took        time.Duration
	// before and after are Postgres' transaction states.
	before, after byte
	// size is what it takes while it waits.
	size   int64
	failed bool
}

// namesMax bounds the prepared statements that are known of one session.
const namesMax = 4096

// Tap reads what passes in one session. Use Observer.Tap.
type Tap struct {
	observer *Observer
	client   *client

	mu           sync.Mutex
	fromClient   framer
	fromPostgres framer
	statements   map[string]*statement
	portals      map[string]execution
	queue        []*unit // owed by Postgres, in order
	open         *unit   // the last of them, if its Sync has not come
	status       byte
	lastEnded    time.Time
	receivedAt   time.Time // of the bytes being read
	// blind is set if nothing of the session is read (any more).
	blind bool
}

// Tap returns what reads a session that begins with a start-up message.
func (o *Observer) Tap(startup []byte) *Tap {
	o.clients.Add(1)
	o.clientsTotal.Add(1)
	return &Tap{
		observer: o, client: newClient(startup), status: protocol.StatusIdle,
		statements: map[string]*statement{}, portals: map[string]execution{},
		blind: protocol.IsReplication(startup),
	}
}

// Close says that the session has ended.
func (t *Tap) Close() { t.observer.clients.Add(-1) }

// Owes reports whether Postgres owes the client an answer.
func (t *Tap) Owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue) > 0
}

// FromClient reads what is about to be sent to Postgres.
func (t *Tap) FromClient(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blind {
		return
	}
	t.receivedAt = time.Now()
	t.fromClient.each(b, func(byte) bool { return true }, t.sent)
	t.giveUp(t.fromClient.lost)
}

// FromPostgres reads what was sent to the client.
func (t *Tap) FromPostgres(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blind {
		return
	}
	t.receivedAt = time.Now()
	t.fromPostgres.each(b, answers, t.received)
	t.giveUp(t.fromPostgres.lost)
}

// giveUp ends the reading of a session that is not understood.
func (t *Tap) giveUp(lost bool) {
	if !lost {
		return
	}
	t.blind = true
	t.queue, t.open = nil, nil
	t.observer.lost.Add(1)
}

// owe notes a unit that was sent.
func (t *Tap) owe(simple bool) *unit {
	u := &unit{client: t.client, simple: simple, sent: t.receivedAt}
	t.queue = append(t.queue, u)
	return u
}

// group is the unit of the extended protocol that is being sent.
func (t *Tap) group() *unit {
	if t.open == nil {
		t.open = t.owe(false)
	}
	return t.open
}

// sent deals with a message of the client; body is nil if it is too long.
func (t *Tap) sent(kind byte, body []byte, _ int) {
	switch kind {
	case 'Q':
		u := t.owe(true)
		text, _, ok := protocol.CutString(body)
		u.long = body == nil
		u.executions = []execution{{statement: &statement{sql: string(text)}, known: ok}}
	case 'F':
		t.owe(true).executions = []execution{{statement: &statement{}}}
	case 'P', 'B', 'E', 'D', 'C':
		u := t.group()
		if body == nil {
			u.long = true
			clear(t.statements) // it may have been any of them
			clear(t.portals)
			if kind == 'B' || kind == 'E' {
				return
			}
		}
		t.sentOfGroup(u, kind, body)
	case 'H':
		if t.open != nil && len(t.open.executions) > 0 {
			t.open.parted = true
		}
	case 'S':
		t.group()
		t.open = nil
	}
}

// sentOfGroup deals with a message of the extended protocol.
func (t *Tap) sentOfGroup(u *unit, kind byte, body []byte) {
	name, rest, ok := protocol.CutString(body)
	switch {
	case !ok:
	case kind == 'P':
		if len(t.statements) >= namesMax {
			clear(t.statements)
		}
		t.statements[string(name)] = readParse(rest)
	case kind == 'B':
		of, bound, ok := protocol.CutString(rest)
		known := t.statements[string(of)]
		e := execution{statement: known, bound: append([]byte{}, bound...), known: ok && known != nil}
		if !e.known {
			e.statement = &statement{}
		}
		if len(t.portals) >= namesMax {
			clear(t.portals)
		}
		t.portals[string(name)] = e
	case kind == 'E':
		e, ok := t.portals[string(name)]
		if !ok {
			e = execution{statement: &statement{}}
		}
		e.limited = len(rest) == 4 && binary.BigEndian.Uint32(rest) != 0
		u.executions = append(u.executions, e)
		if ok {
			e.again = true
			t.portals[string(name)] = e
		}
	case kind == 'C' && name != nil && len(body) > 1 && body[0] == 'S':
		delete(t.statements, string(body[1:len(body)-1]))
	}
}

// readParse reads a Parse behind its name.
func readParse(b []byte) *statement {
	sql, rest, ok := protocol.CutString(b)
	s := &statement{sql: string(sql)}
	if !ok || len(rest) < 2 {
		return s
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	for i := 0; i < n && len(rest) >= 4; i++ {
		s.paramTypes = append(s.paramTypes, binary.BigEndian.Uint32(rest))
		rest = rest[4:]
	}
	return s
}

// answers reports whether the body of a message of Postgres is looked into.
func answers(kind byte) bool { return kind == 'C' || kind == 'Z' }

// received deals with a message of Postgres.
func (t *Tap) received(kind byte, body []byte, length int) {
	if len(t.queue) == 0 {
		return // a notice, a notification
	}
	u := t.queue[0]
	switch kind {
	case 'D':
		if e := u.next(); e != nil {
			e.bytes += length
		}
	case 'C', 'I', 's':
		if e := u.next(); e != nil {
			tag, _, _ := protocol.CutString(body)
			e.tag = string(tag) // of several statements in one Query that of the last
			e.done = !u.simple
		}
	case 'E':
		u.failed = true
	case 'Z':
		if len(body) == 1 {
			t.ended(u, body[0])
		}
	}
}

// next is the execution that Postgres answers at this point, nil if there is none.
func (u *unit) next() *execution {
	for i := range u.executions {
		if !u.executions[i].done {
			return &u.executions[i]
		}
	}
	return nil
}

// ended hands on a unit that has its ReadyForQuery.
func (t *Tap) ended(u *unit, status byte) {
	t.queue = t.queue[1:]
	u.before, u.after, t.status = t.status, status, status
	began := u.sent
	if began.Before(t.lastEnded) { // Postgres had others before it
		began = t.lastEnded
	}
	u.took, u.ended, t.lastEnded = t.receivedAt.Sub(began), t.receivedAt, t.receivedAt
	if len(u.executions) > 0 || u.failed {
		t.observer.offer(u)
	}
}

// rows is how many rows a command changed, by its tag.
func (e *execution) rows() int {
	i := strings.LastIndexByte(e.tag, ' ')
	n, _ := strconv.Atoi(e.tag[i+1:])
	return n
}
