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

	// few is where tags and counters lie if there is room for them.
	few struct {
		tags     [fewTags]Tag
		counters [fewTags]atomic.Uint64
	}
}

// fewTags is how many tags a ticket has room for: those of a read of one table by one
// value, or of its whole. More are allocated apart.
const fewTags = 4

// NewTicket makes the ticket of an entry that shows the state bounded by label
// and depends on tags, which are copied. loaded is a moment of this process at which the
// state shown existed already: the end of the load, or the arrival from elsewhere. A
// head whose look began after it includes everything that the entry shows.
func NewTicket(label Label, tags []Tag, loaded Instant) *Ticket {
	t := new(Ticket)
	t.Init(label, tags, loaded)
	return t
}

// Init is NewTicket of a ticket that is a part of something else.
func (t *Ticket) Init(label Label, tags []Tag, loaded Instant) {
	t.label, t.loaded = label, loaded
	t.tags, t.counters = t.few.tags[:], t.few.counters[:]
	if len(tags) > fewTags {
		t.tags, t.counters = make([]Tag, len(tags)), make([]atomic.Uint64, len(tags))
	}
	t.tags, t.counters = t.tags[:len(tags)], t.counters[:len(tags)]
	copy(t.tags, tags)
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
