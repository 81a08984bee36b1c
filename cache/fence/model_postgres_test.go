package fence

import (
	"maps"
	"slices"
)

// modelPostgres is the part of Postgres on which freshness rests: transaction
// ids and snapshots, commits in another order than ids, aborts, prepared
// transactions, a log of which a crash loses the unflushed end together with
// the ids in it, and the outbox with its trim mark. Rows are reduced to version
// numbers that are never used twice, so that a value tells which commit wrote it.
type modelPostgres struct {
	incarnation int
	next        XID // the id that the next writer gets
	latestEnded XID
	running     []*modelTransaction // ascending by id
	locked      map[int]bool        // keys that a running transaction has written

	outbox   []outboxRow
	lastRow  int      // the outbox's sequence
	mark     Snapshot // rows visible in it may be gone
	mayTrim  []Snapshot
	versions int

	// states[i] holds the version of every key after the i-th commit or crash.
	states [][]int
	// durableState and durableNext are what a crash goes back to.
	durableState int
	durableNext  XID
}

type modelTransaction struct {
	xid      XID
	writes   map[int]int
	rows     []outboxRow
	long     bool // ends late
	prepared bool // survives a crash
	// session, unless nil, waits for the end.
	session *simulatedSession
}

type outboxRow struct {
	id    int
	event Event
	state int // that the commit made
}

func newModelPostgres(keys int) *modelPostgres {
	return &modelPostgres{
		incarnation: 1, next: 10, latestEnded: 9, durableNext: 10,
		locked: map[int]bool{}, states: [][]int{make([]int, keys)},
	}
}

// current is the number of the state that a query sees now.
func (p *modelPostgres) current() int { return len(p.states) - 1 }

// snapshot is pg_current_snapshot().
func (p *modelPostgres) snapshot() Snapshot {
	xmax := p.latestEnded + 1
	xmin := xmax
	var inProgress []XID
	for _, t := range p.running {
		if t.xid < xmax {
			inProgress = append(inProgress, t.xid)
			xmin = min(xmin, t.xid)
		}
	}
	return Snapshot{xmin, xmax, inProgress}
}

// begin starts a transaction with its first write, which assigns the id.
func (p *modelPostgres) begin() *modelTransaction {
	t := &modelTransaction{xid: p.next, writes: map[int]int{}}
	p.next++
	p.running = append(p.running, t)
	return t
}

// write changes those keys that no other transaction holds, and reports the
// change with tags, as one statement.
func (p *modelPostgres) write(t *modelTransaction, keys []int, tags []Tag) {
	changed := false
	for _, k := range keys {
		if _, own := t.writes[k]; p.locked[k] && !own {
			continue
		}
		p.locked[k] = true
		p.versions++
		t.writes[k] = p.versions
		changed = true
	}
	if changed || len(keys) == 0 {
		p.lastRow++
		t.rows = append(t.rows, outboxRow{id: p.lastRow, event: Event{t.xid, tags}})
	}
}

// commit ends t. If durable, it flushes the log up to here.
func (p *modelPostgres) commit(t *modelTransaction, durable bool) {
	p.end(t)
	state := slices.Clone(p.states[p.current()])
	for k, version := range t.writes {
		state[k] = version
	}
	p.states = append(p.states, state)
	for _, row := range t.rows {
		row.state = p.current()
		p.outbox = append(p.outbox, row)
	}
	if durable {
		p.flush()
	}
}

func (p *modelPostgres) abort(t *modelTransaction) { p.end(t) }

func (p *modelPostgres) end(t *modelTransaction) {
	p.running = slices.DeleteFunc(p.running, func(r *modelTransaction) bool { return r == t })
	p.latestEnded = max(p.latestEnded, t.xid)
	maps.DeleteFunc(p.locked, func(k int, _ bool) bool { _, held := t.writes[k]; return held })
}

func (p *modelPostgres) flush() {
	p.durableState, p.durableNext = p.current(), p.next
}

func (p *modelPostgres) prepare(t *modelTransaction) {
	t.prepared = true
	p.flush()
}

// crash restarts from the flushed log, and reports how many ids will be used
// again.
func (p *modelPostgres) crash() (reused int) {
	reused = int(p.next - p.durableNext)
	p.outbox = slices.DeleteFunc(p.outbox, func(r outboxRow) bool { return r.state > p.durableState })
	for _, t := range slices.Clone(p.running) {
		if !t.prepared {
			p.abort(t)
		}
	}
	p.next, p.latestEnded = p.durableNext, p.durableNext-1
	p.states = append(p.states, slices.Clone(p.states[p.durableState]))
	p.durableState = p.current()
	p.incarnation++
	p.mayTrim = nil // snapshots of a former life mean nothing now
	return reused
}

// rememberForTrim notes a snapshot that may become the trim mark later.
func (p *modelPostgres) rememberForTrim() { p.mayTrim = append(p.mayTrim, p.snapshot()) }

// trim publishes the i-th remembered snapshot as mark and deletes what it sees.
func (p *modelPostgres) trim(i int) {
	p.mark = p.mayTrim[i]
	p.mayTrim = slices.Delete(p.mayTrim, 0, i+1)
	p.outbox = slices.DeleteFunc(p.outbox, func(r outboxRow) bool { return p.mark.Sees(r.event.XID) })
	p.flush()
}

// looked is what one look at the outbox returns.
type looked struct {
	incarnation    int
	snapshot, mark Snapshot
	events         []Event
	lastRow        int
}

// look returns the committed rows that want keeps.
func (p *modelPostgres) look(want func(outboxRow) bool) looked {
	l := looked{incarnation: p.incarnation, snapshot: p.snapshot(), mark: p.mark}
	for _, r := range p.outbox {
		l.lastRow = max(l.lastRow, r.id)
		if want(r) {
			l.events = append(l.events, r.event)
		}
	}
	return l
}

// newSince keeps the rows that a follower with this head has not received: of
// transactions that its snapshot does not see.
func newSince(head *Head) func(outboxRow) bool {
	return func(r outboxRow) bool {
		x := r.event.XID
		return head == nil || x >= head.Snapshot.Xmax() || slices.Contains(head.Snapshot.InProgress(), x)
	}
}
