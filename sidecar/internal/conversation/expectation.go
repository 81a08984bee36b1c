package conversation

import (
	"bytes"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Kind is what Postgres will answer to one message.
type Kind byte

// The kinds, named for the message.
const (
	Parse Kind = iota
	Bind
	Describe
	Execute
	Close
	Sync  // ReadyForQuery
	Query // anything up to and including ReadyForQuery
	// CopyEnd stands for nothing: the client has ended its copied data.
	CopyEnd
)

// Expectation is one answer that Postgres still owes: what it will be, what the message
// is known to be that it answers, and what is to be told of it when it is heard.
type Expectation struct {
	Kind Kind
	// Hidden answers were asked for by the sidecar: the client must not see them.
	Hidden bool
	// Harmless is set on what ends in ReadyForQuery if everything before it was
	// known to change nothing.
	Harmless bool
	// ShowsNothing is set on a Sync before which Postgres executed nothing.
	ShowsNothing bool
	// Named is set on what ends a prepared statement that it names.
	Named bool
	// InBlock is set on what ends in ReadyForQuery if the client is in a block whose
	// BEGIN is held back.
	InBlock bool
	// Statement is set on the Describe of a statement, not of a portal.
	Statement bool
	// Quiet is set on a hidden message whose errors and notices are hidden too.
	Quiet bool
	// row is set on a hidden query whose one row the sidecar reads itself.
	row bool
	// rows is set, besides row, if all rows are read, and nothing else may be said.
	rows bool
	// found, unless nil, is set besides row on a query that goes along with a load: it is called
	// with the row, nil if the query failed, and nobody waits for it.
	found func(row []byte)
	// opens is set on the parts of what begins a block that was held back.
	opens bool
	// Instead, unless nil, is what the client gets in the place of an error.
	Instead  []byte
	Prepared *statements.Prepared // of a Parse, a Bind or a Describe
	Effect   *shapes.Effect       // of a Bind, an Execute or a Query
	Meaning  *statements.Meaning  // that a Parse or a Bind is sent under, if it is certain
	Change   *statements.Change   // of the names of statements, unless nil
	Capture  *answer.Capture      // of an Execute, a Describe or a Query
	// Done, unless nil, is called when an Execute or a Query has ended with neither an error
	// nor a notice.
	Done func()
	// Over, unless nil, is called on what ends in ReadyForQuery when that is heard, whatever came
	// before. The conversation is locked.
	Over func()
	// timing, unless nil, is told how long the unit that ends here took, which was sent
	// at sent.
	timing *shapes.Average
	sent   fence.Instant
	// measure is of the unit that ends here, unless its Arrived is 0.
	measure Measure
}

// question is what Postgres owes to a question of the sidecar's own.
var question = Expectation{Kind: Query, Hidden: true, Harmless: true, row: true}

// endsUnit reports whether the answer ends in ReadyForQuery.
func (e *Expectation) endsUnit() bool { return e.Kind == Sync || e.Kind == Query }

// hides reports whether even errors and notices are hidden: those of a query of
// the sidecar's own, or of what it sends in a group of its own.
func (e *Expectation) hides() bool { return e != nil && e.Hidden && (e.Kind == Query || e.Quiet) }

// noteMeaning keeps under what Postgres has accepted a statement: at its Parse,
// and at every Bind, where it analyses anew what has changed.
func (e *Expectation) noteMeaning() {
	if e.Prepared != nil && e.Meaning != nil {
		e.Prepared.Meaning.Store(e.Meaning)
	}
}

// noteDescription notes what Postgres says of the statement that a Describe is of; params
// is the body of the ParameterDescription before.
func (e *Expectation) noteDescription(kind byte, body, params []byte) {
	if e.Prepared == nil || !e.Statement && e.Prepared.Told.Load().Repeats(kind, body) {
		return // as at every execution of a portal that is described
	}
	var types []byte
	if e.Statement {
		types = bytes.Clone(params)
	}
	e.Prepared.NoteDescription(description.Heard(kind, body, types), e.Hidden)
}

// effect is what the statement may write whose answer is due; nil if nobody
// knows what Postgres answers.
func (e *Expectation) effect() *shapes.Effect {
	switch {
	case e == nil:
		return nil
	case e.opens:
		return shapes.NoEffect
	}
	switch e.Kind {
	case Bind, Execute:
		return e.Effect // planning calls functions
	case Query:
		if e.Harmless && e.Effect == nil {
			return shapes.NoEffect
		}
		return e.Effect
	default:
		return shapes.NoEffect // what a Sync commits is gathered already
	}
}
