package fence

import "sync/atomic"

// Ticket is what the fence needs to know of one entry. It is made once, before
// the entry is shared, and then only passed to Admits, by any number of
// goroutines.
type Ticket struct {
	label  Label
	tags   []Tag
	loaded Instant
	// generation and counters are those at which the entry was last found
	// admissible; generation 0 means never. They are only a shortcut: a lost or
	// outdated store costs one more slow check.
	generation atomic.Uint64
	counters   []atomic.Uint64
	// moves is the fence's when the counters were last found to be those of the slots.
	moves atomic.Uint64

	// few is where tags and counters lie if there is room for them.
	few struct {
		tags     [fewTags]Tag
		counters [fewTags]atomic.Uint64
	}
}

// fewTags is how many tags a ticket has room for: those of a read of one table by one
// value, of the schema, of roles, and of a wrapped function's key. More are allocated apart.
const fewTags = 7

// NewTicket makes the ticket of an entry that shows the state bounded by label
// and depends on tags, which are copied. loaded is a moment of this process at which the
// state shown existed already: the end of the load, or the arrival from elsewhere. A
// head whose look began after it includes everything that the entry shows.
func NewTicket(label Label, tags []Tag, loaded Instant) *Ticket {
	t := new(Ticket)
	t.Init(label, loaded, tags)
	return t
}

// Init is NewTicket of a ticket that is a part of something else. It depends on the tags of
// all lists.
func (t *Ticket) Init(label Label, loaded Instant, lists ...[]Tag) {
	t.label, t.loaded = label, loaded
	n := 0
	for _, tags := range lists {
		n += len(tags)
	}
	t.tags, t.counters = t.few.tags[:0], t.few.counters[:]
	if n > fewTags {
		t.tags, t.counters = make([]Tag, 0, n), make([]atomic.Uint64, n)
	}
	t.counters = t.counters[:n]
	for _, tags := range lists {
		t.tags = append(t.tags, tags...)
	}
}

// Size is the memory that a ticket holds beside its own, in bytes.
func (t *Ticket) Size() int {
	if len(t.tags) <= fewTags {
		return 0
	}
	return 16 * len(t.tags) // the tags, and the counters
}

// Label returns the bounds of the state shown.
func (t *Ticket) Label() Label { return t.label }

// Tags returns what the entry depends on. It must not be changed.
func (t *Ticket) Tags() []Tag { return t.tags }

// Loaded returns the moment after which a look includes the state shown.
func (t *Ticket) Loaded() Instant { return t.loaded }
