package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

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
	// expectCopyEnd stands for nothing: the client has ended its copied data.
	expectCopyEnd
)

// expect is one answer that Postgres still owes.
type expect struct {
	kind expectKind
	// hidden answers were asked for by the sidecar: the client must not see them.
	hidden bool
	// harmless is set on what ends in ReadyForQuery if everything before it was
	// known to change nothing.
	harmless bool
	// showsNothing is set on a Sync before which Postgres executed nothing.
	showsNothing bool
	// named is set on what ends a prepared statement that it names.
	named bool
	// inBlock is set on what ends in ReadyForQuery if the client is in a block whose
	// BEGIN is held back.
	inBlock bool
	// row is set on a hidden query whose one row the sidecar reads itself.
	row bool
	// statement is set on the Describe of a statement, not of a portal.
	statement bool
	// opens is set on the parts of what begins a block that was held back.
	opens bool
	// quiet is set on a hidden message whose errors and notices are hidden too.
	quiet bool
	// instead, unless nil, is what the client gets in the place of an error.
	instead  []byte
	prepared *statements.Prepared // of a Parse, a Bind or a Describe
	effect   *shapes.Effect       // of a Bind, an Execute or a Query
	meaning  *statements.Meaning  // that a Parse or a Bind is sent under, if it is certain
	change   *statements.Change   // of the names of statements, unless nil
	capture  *answer.Capture      // of an Execute, a Describe or a Query
	// timing, unless nil, is told how long the unit that ends here took, which was sent
	// at sent.
	timing *shapes.Average
	sent   fence.Instant
}

// endsUnit reports whether the answer ends in ReadyForQuery.
func (e *expect) endsUnit() bool { return e.kind == expectSync || e.kind == expectQuery }

// hides reports whether even errors and notices are hidden: those of a query of
// the sidecar's own, or of what it sends in a group of its own.
func (e *expect) hides() bool { return e != nil && e.hidden && (e.kind == expectQuery || e.quiet) }

// expectRow is what Postgres owes to a question of the sidecar's own.
var expectRow = expect{kind: expectQuery, hidden: true, harmless: true, row: true}

// noteMeaning keeps under what Postgres has accepted a statement: at its Parse,
// and at every Bind, where it analyses anew what has changed.
func (e *expect) noteMeaning() {
	if e.prepared != nil && e.meaning != nil {
		e.prepared.Meaning.Store(e.meaning)
	}
}

// expectations is a queue. The zero value is empty.
type expectations struct {
	items []expect
	first int
	// harmful is how many of them end what may change something.
	harmful int
}

// count adds n for an answer that ends what may change something.
func (q *expectations) count(e *expect, n int) {
	if e.endsUnit() && !e.harmless {
		q.harmful += n
	}
}

func (q *expectations) len() int { return len(q.items) - q.first }

func (q *expectations) push(e expect) {
	if q.first > 64 && q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, e)
	q.count(&e, 1)
}

// head returns the answer that is due, nil if none is.
func (q *expectations) head() *expect {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.first]
}

func (q *expectations) pop() {
	q.count(q.head(), -1)
	q.items[q.first] = expect{}
	q.first++
	for q.len() > 0 && q.items[q.first].kind == expectCopyEnd {
		q.first++ // of data that Postgres did not ask for, or no longer
	}
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
}

// dropIgnored removes the Syncs between the head, which copies data in, and the
// end of the data. It reports whether one of them was not harmless, and whether
// the end was there.
func (q *expectations) dropIgnored() (harmful, ended bool) {
	following := q.items[q.first+1:]
	n := 0
	for n < len(following) && following[n].kind == expectSync {
		harmful = harmful || !following[n].harmless
		q.count(&following[n], -1)
		n++
	}
	if ended = n < len(following) && following[n].kind == expectCopyEnd; ended {
		n++
	}
	kept := copy(following, following[n:])
	clear(following[kept:])
	q.items = q.items[:q.first+1+kept]
	return harmful, ended
}
