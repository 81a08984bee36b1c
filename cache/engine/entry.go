package engine

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/freshet/freshet/cache/fence"
)

// Payload is what an entry is kept for: captured bytes, or a value of Go. It is
// immutable, and asserted to its own type by whoever made it.
type Payload interface {
	// Size is the memory that the payload holds, in bytes.
	Size() int
	// AppendBinary appends the payload for storage outside the process.
	AppendBinary(dst []byte) ([]byte, error)
}

// Decode reads what a Payload's AppendBinary wrote. It may keep src, which
// nobody changes, and must report an error for bytes that it does not know,
// for instance those of another release.
type Decode func(src []byte) (Payload, error)

// Entry is one answer and what must be known to serve it. It does not change.
type Entry struct {
	// Ticket is what the fence asks for.
	Ticket *fence.Ticket
	// Key is the whole identity of the answer. It is compared on every hit, so two
	// keys with one hash never share an answer.
	Key     []byte
	Payload Payload
	// Expires is the moment from which on the entry is not served.
	Expires fence.Instant

	// shape is that of the load. hash is where the first tier keeps the entry.
	shape uint64
	hash  uint64
	// began is when the load began, zero for an entry from the second tier.
	began fence.Instant
	// born is the wall clock's reading when the entry was made, and life how long
	// it lives. Only they mean something in another process.
	born time.Time
	life time.Duration
	// took is how long the load took, wherever it was made.
	took time.Duration

	// local entries are not published.
	local bool
	// over is the Cause that has ended the entry, 0 while none is known: see ended.
	over atomic.Uint32

	publication publication
}

// Start is the beginning of a load.
type Start struct {
	// Label bounds the state that the load will show from below.
	Label fence.Label
	// At is when it was taken.
	At fence.Instant
}

// Loaded is the outcome of a load, of which NewEntry makes an entry.
type Loaded struct {
	// Key is the identity of the answer. It is copied, unless Owned is set: then it is the
	// entry's, and nobody else's, from now on.
	Key   []byte
	Owned bool
	// Hash is where the first tier keeps the entry. 0 means Hash(Key); another is for
	// callers that find their entries by a hash of their own, with At.
	Hash uint64
	// Shape names what takes about the same time to load, as for Flight.Fetch. 0 says
	// that the key is its own shape.
	Shape uint64
	// Start was taken before the load's query was sent.
	Start Start
	// End is when the load ended, the moment its last byte had arrived or later.
	End fence.Instant
	// Tags are what the answer depends on, and More, too. They are copied. If the tag of the
	// schema is not among them, it is added, and that of all roles.
	Tags, More []fence.Tag
	// Life is how long the entry is of use. 0, and anything above it, means
	// Options.TTL.
	Life    time.Duration
	Payload Payload
	// Local says that the entry stays in this process.
	Local bool
}

// schemaTags are those of an entry that names no schema itself: nothing is known of which
// roles it depends on.
var schemaTags = [2]fence.Tag{fence.NewTag(fence.SchemaText), fence.RolesTag}

// Room is where an entry is made, with what belongs to it: for payloads that hold it, so
// that all of an entry is allocated at once. It is used for one entry.
type Room struct {
	entry  Entry
	ticket fence.Ticket
}

// NewEntry makes an entry of what was loaded.
func (c *Cache) NewEntry(l Loaded) *Entry { return c.NewEntryIn(new(Room), l) }

// NewEntryIn is NewEntry in a place of the caller's.
func (c *Cache) NewEntryIn(room *Room, l Loaded) *Entry {
	life := l.Life
	if ttl := c.TTL(); life <= 0 || life > ttl {
		life = ttl
	}
	life -= rand.N(life/10 + 1)
	if l.Hash == 0 {
		l.Hash = c.Hash(l.Key)
	}
	if l.Shape == 0 {
		l.Shape = l.Hash
	}
	key := l.Key
	if !l.Owned {
		key = bytes.Clone(key)
	}
	schema := schemaTags[:]
	if slices.Contains(l.Tags, schemaTags[0]) {
		schema = nil
	}
	room.ticket.Init(l.Start.Label, l.End, l.Tags, l.More, schema)
	e := &room.entry
	e.Ticket, e.Key, e.Payload, e.Expires = &room.ticket, key, l.Payload, l.End.Add(life)
	e.shape, e.hash, e.local = l.Shape, l.Hash, l.Local
	e.began, e.born, e.life, e.took = l.Start.At, c.wall(), life, max(l.End.Sub(l.Start.At), 0)
	return &room.entry
}

// size is the memory that an entry holds, in bytes.
func (e *Entry) size() int {
	const fixed = int(unsafe.Sizeof(Room{}))
	return fixed + len(e.Key) + e.Ticket.Size() + e.Payload.Size()
}

// is reports whether e answers key.
func (e *Entry) is(key []byte) bool { return bytes.Equal(e.Key, key) }

// Age is how long ago the entry was loaded, as far as the clocks of two machines agree if
// it was loaded elsewhere.
func (e *Entry) Age(now fence.Instant) time.Duration {
	if e.began == 0 {
		return max(time.Since(e.born), 0)
	}
	return max(now.Sub(e.Ticket.Loaded()), 0)
}

// Shape is that of the load: see Loaded.
func (e *Entry) Shape() uint64 { return e.shape }

// Took is how long the load took, in whatever process.
func (e *Entry) Took() time.Duration { return e.took }

// Born is when the entry was made, by the clock of the machine that made it.
func (e *Entry) Born() time.Time { return e.born }
