package statements

import (
	"sync/atomic"

	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
)

// Meaning is what the text of a prepared statement was understood under. When it
// changes, Postgres analyses the text anew, and refuses the statement if its
// columns became others, since the client reads rows by the description that it
// has. So the first use after a change goes to Postgres, as it did at first.
type Meaning struct {
	Generation uint64        // counts the schema changes
	Names      digest.Digest // of the role and the search path
}

// Use is what a statement was used for.
type Use uint8

// The uses; a greater one includes the smaller ones.
const (
	UnusedYet Use = iota
	Described     // analysed, if need be
	Executed      // planned, too
)

// Prepared is a prepared statement of one session as its client sees it.
type Prepared struct {
	Statement *Statement // nil if it was too long to be kept
	// Parse is the Parse message of an unnamed statement, kept so that it can be
	// sent later. Named statements are always sent at once.
	Parse []byte
	// Accepted becomes true when Postgres has acknowledged the Parse, Failed when
	// it has refused it.
	Accepted, Failed atomic.Bool
	// Noticed becomes true when a notice came with its Parse or a Bind. Who binds it
	// anew, with the plan made, gets none: that answer is not everybody's.
	Noticed atomic.Bool
	// Meaning is that under which Postgres accepted it last, with those before it; empty if
	// that is not certain.
	Meaning Meanings
	// Told is what the client was told of its columns and parameters; nil: nothing.
	Told atomic.Pointer[description.Description]
	// epoch is that of the session's settings in which alone Postgres has parsed and
	// looked at it, 0 if that is not certain. It belongs to the Set's goroutine, as what
	// follows does.
	epoch uint64
	// doubted is set if that is so only unless what Set.Doubt tells of has happened; it is
	// reset when Postgres is to analyse it anew.
	doubted bool
	// unseen is what it was used for here since Postgres was last shown a use.
	unseen Use
	// planned is set if Postgres may have made a plan for it.
	planned bool
}

// meaningsMax bounds the meanings that are kept of one statement: a client that takes turns
// with roles and search paths has a few.
const meaningsMax = 16

// Meanings are those under which Postgres has accepted a statement since the schema changed
// last, with the columns that it had at first. The zero value has none.
type Meanings struct{ list atomic.Pointer[[]*Meaning] }

// Load returns the last meaning, nil if there is none.
func (m *Meanings) Load() *Meaning {
	if list := m.list.Load(); list != nil {
		return (*list)[0]
	}
	return nil
}

// Store adds a meaning, as the last; nil has all forgotten.
func (m *Meanings) Store(now *Meaning) {
	for {
		before := m.list.Load()
		if m.list.CompareAndSwap(before, withMeaning(before, now)) {
			return
		}
	}
}

func withMeaning(before *[]*Meaning, now *Meaning) *[]*Meaning {
	switch {
	case now == nil:
		return nil
	case before != nil && *(*before)[0] == *now:
		return before
	}
	list := []*Meaning{now}
	if before != nil {
		for _, then := range *before {
			if then.Generation == now.Generation && *then != *now && len(list) < meaningsMax {
				list = append(list, then)
			}
		}
	}
	return &list
}

// has reports whether a statement was accepted under a meaning.
func (m *Meanings) has(now *Meaning) bool {
	list := m.list.Load()
	if list == nil {
		return false
	}
	for _, then := range *list {
		if *then == *now {
			return true
		}
	}
	return false
}

// keepsSettings reports whether settings matter to what Postgres keeps of the statement, as
// far as its text is known.
func (p *Prepared) keepsSettings() bool { return p.Statement != nil && p.Statement.KeepsSettings }

// Again is the unnamed statement of a Parse as it was before Postgres got it.
func (p *Prepared) Again() *Prepared { return &Prepared{Statement: p.Statement, Parse: p.Parse} }

// Means reports whether the statement is known to be what its text means now; now is nil
// if that is not known.
func (p *Prepared) Means(now *Meaning) bool {
	return now != nil && p.Meaning.has(now)
}

// ToldHere reports whether the client was told something of an unnamed statement before
// Postgres got it.
func (p *Prepared) ToldHere() bool {
	told := p.Told.Load()
	return p.Parse != nil && told != nil && !told.Own
}

// NoteDescription notes what Postgres says of the statement; hidden, if it was the sidecar
// that asked.
func (p *Prepared) NoteDescription(said *description.Description, hidden bool) {
	told := p.Told.Load()
	if hidden { // the client was told as much as before, or something else
		if told != nil && told.Agrees(said) {
			p.Told.Store(told.As(true))
		}
		return
	}
	if told != nil && said.Params == (digest.Digest{}) && told.Params != said.Params && told.Agrees(said) {
		return // less of the same
	}
	p.Told.Store(said)
}
