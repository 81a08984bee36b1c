package wire

// expectKind is what Postgres will answer to one message.
type expectKind byte

const (
	expectParse expectKind = iota
	expectBind
	expectDescribe
	expectExecute
	expectClose
	expectSync  // ReadyForQuery
	expectQuery // anything up to and including ReadyForQuery
)

// expect is one answer that Postgres still owes.
type expect struct {
	kind expectKind
	// hidden answers were asked for by the sidecar: the client must not see them.
	hidden bool
	// proven is set on what ends in ReadyForQuery if everything before it was
	// known to change nothing.
	proven bool
	// probe is set on the hidden query that reads the session's state.
	probe bool
	// statement is set on the Describe of a statement, not of a portal.
	statement bool
	prepared  *prepared // of a Parse
	capture   *capture  // of an Execute, a Describe or a Query
}

// endsUnit reports whether the answer ends in ReadyForQuery.
func (e *expect) endsUnit() bool { return e.kind == expectSync || e.kind == expectQuery }

// expectations is a queue. The zero value is empty.
type expectations struct {
	items []expect
	first int
}

func (q *expectations) len() int { return len(q.items) - q.first }

func (q *expectations) push(e expect) {
	if q.first > 64 && q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, e)
}

// head returns the answer that is due, nil if none is.
func (q *expectations) head() *expect {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.first]
}

func (q *expectations) pop() {
	q.items[q.first] = expect{}
	q.first++
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
}

// dropSyncsIf removes, on condition, the Syncs that follow the head directly:
// while a client copies data in, Postgres ignores them.
func (q *expectations) dropSyncsIf(copyIn bool) {
	if !copyIn {
		return
	}
	kept := q.items[:q.first+1]
	following := q.items[q.first+1:]
	for len(following) > 0 && following[0].kind == expectSync {
		following = following[1:]
	}
	q.items = append(kept, following...)
}
