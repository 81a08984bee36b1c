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
}

// NewTicket makes the ticket of an entry that shows the state bounded by label
// and depends on tags. loaded is a moment of this process at which the state
// shown existed already: the end of the load, or the arrival from elsewhere. A
// head whose look began after it includes everything that the entry shows.
func NewTicket(label Label, tags []Tag, loaded Instant) *Ticket {
	return &Ticket{label: label, tags: tags, loaded: loaded, counters: make([]atomic.Uint64, len(tags))}
}

// Label returns the bounds of the state shown.
func (t *Ticket) Label() Label { return t.label }

// Tags returns what the entry depends on. It must not be changed.
func (t *Ticket) Tags() []Tag { return t.tags }

// Loaded returns the moment after which a look includes the state shown.
func (t *Ticket) Loaded() Instant { return t.loaded }
