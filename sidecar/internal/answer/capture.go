package answer

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// Capture collects one answer on its way to the client, to be stored if the group that it
// belongs to ends well.
type Capture struct {
	// Key is the answer's. Of rows without a description, what the client was told of them
	// is filled in when they have come: it may still be on its way before.
	Key   []byte
	Start engine.Start
	Tags  []fence.Tag
	// Shape is the statement's.
	Shape uint64
	// Flight, unless nil, is waited for by others who want the same answer. Release ends it.
	Flight *engine.Flight
	// Told, unless nil, is where it stands what the client was told of the statement whose
	// rows these are, without a description of their own.
	Told *atomic.Pointer[description.Description]
	// Certain, unless nil, waits until it is certain whether the load, which ended at a
	// moment, may be kept. It reports false if not.
	Certain func(loaded fence.Instant) bool
	// Assumed is set if the answer is right if what was known under Generation is: see
	// Answer.Assume. It is kept in this process alone.
	Assumed    bool
	Generation uint64
	// ToItsEnd is set if the answer is all of its rows, in however many portions they are
	// fetched: a limit of rows does not end it.
	ToItsEnd bool
	// SizeMax is the most bytes that are collected.
	SizeMax int
	// Life is how long the answer may be kept, 0 for as long as any. Consent says that it may
	// be out of date for that long: it is kept in this process alone, and called so. ByRule
	// says that a rule alone accepts that.
	Life            time.Duration
	Consent, ByRule bool
	// Terms, unless nil, are those that rules put on the answer, and what it reads.
	Terms *rules.Judged
	// Warming is set if no client asked for the answer, and none is shown it.
	Warming bool

	answer Answer
	// complete is set if the CommandComplete, the PortalSuspended or the whole description
	// was seen.
	complete bool
	// inPortions is set by End if a portion of it was fetched, and there may be more.
	inPortions bool
	// outgrown is set if there is more than SizeMax.
	outgrown bool
	// spoiled is set if it is too large, or not an answer that can be repeated.
	spoiled bool
	// joined is the room of Flight.
	joined engine.Flight
}

// reusedMax is how many bytes a buffer of a capture may have to be used again.
const reusedMax = 16 << 10

// idle are captures that nobody has, with their buffers.
var idle = sync.Pool{New: func() any { return new(Capture) }}

// NewCapture returns one that collects nothing yet, with the buffers of one that was
// recycled.
func NewCapture() *Capture { return idle.Get().(*Capture) }

// Recycle takes back a capture that nobody else has any more: neither the session's plan, nor
// the conversation, nor who waits to keep its answer.
func (c *Capture) Recycle() {
	if cap(c.answer.Description)+cap(c.answer.Body) > reusedMax {
		c.answer = Answer{}
	}
	c.Key, c.Start, c.Tags, c.Shape, c.Flight = c.Key[:0], engine.Start{}, c.Tags[:0], 0, nil
	c.ToItsEnd = false
	c.Told, c.Certain, c.SizeMax, c.Life, c.Terms = nil, nil, 0, 0, nil
	c.Consent, c.ByRule = false, false
	c.Assumed, c.Generation, c.Warming = false, 0, false
	c.answer.Description, c.answer.Body = c.answer.Description[:0], c.answer.Body[:0]
	c.complete, c.inPortions, c.outgrown, c.spoiled = false, false, false, false
	idle.Put(c)
}

// Join makes Flight the reader's part in loading a key: see engine.Cache.JoinAt.
func (c *Capture) Join(of *engine.Cache, key []byte, hash uint64) *engine.Flight {
	of.JoinAgain(&c.joined, key, hash)
	c.Flight = &c.joined
	return c.Flight
}

// Form is the form of the answer.
func (c *Capture) Form() Form { return Form(c.Key[formAt]) }

// Answer is what was collected so far.
func (c *Capture) Answer() *Answer { return &c.answer }

// Whole reports whether the answer has come, and can be repeated.
func (c *Capture) Whole() bool { return c.complete && !c.spoiled }

// Add appends a piece of a message to the part of the answer that it belongs to.
func (c *Capture) Add(kind byte, piece []byte) {
	if c.spoiled || kind == 's' && c.ToItsEnd {
		return
	}
	if kind == 'C' && c.inPortions {
		piece = protocol.AppendComplete(nil, "SELECT "+strconv.Itoa(rowsIn(c.answer.Body))) // that of Postgres counts the last portion
	}
	if c.answer.Size()+len(piece) > c.SizeMax {
		c.outgrown = true
		c.Spoil()
		return
	}
	switch kind {
	case 'T', 't', 'n':
		c.answer.Description = append(c.answer.Description, piece...)
	default:
		c.answer.Body = append(c.answer.Body, piece...)
	}
}

// rowsIn counts the rows among messages.
func rowsIn(body []byte) (rows int) {
	for kind := range protocol.Messages(body) {
		if kind == 'D' {
			rows++
		}
	}
	return rows
}

// EndDescription notes that the description of a statement has come, which is all of its
// answer.
func (c *Capture) EndDescription() { c.complete = true }

// End notes that a statement has ended, with a message of this kind. The portal of a row
// limit may be left suspended: that is the answer then. An empty query has none that can
// be repeated, and neither have several statements in one query, nor has a portal that is
// executed behind its end. It reports whether the answer has ended with this.
func (c *Capture) End(kind byte) (ended bool) {
	if kind == 's' && c.ToItsEnd && !c.complete {
		c.inPortions = true
		return false
	}
	ended = !c.ToItsEnd || !c.complete
	c.complete = kind != 'I' && !c.complete
	c.spoiled = c.spoiled || !c.complete
	return ended
}

// Spoil gives the capture up and lets those who wait for it load themselves.
func (c *Capture) Spoil() {
	c.spoiled = true
	c.answer = Answer{}
	c.Release(nil)
}

// SpoilIfAny is Spoil; c may be nil.
func (c *Capture) SpoilIfAny() {
	if c != nil {
		c.Spoil()
	}
}

// Release tells those who wait that the load has ended with entry, or with
// nothing. It may be called more than once; the first counts.
func (c *Capture) Release(entry *engine.Entry) {
	if c.Flight != nil {
		c.Flight.Finish(entry)
		c.Flight = nil
	}
}

// Entry makes the entry of an answer that was loaded by a time, nil if there is nothing
// to be stored.
func (c *Capture) Entry(of *engine.Cache, loaded fence.Instant) *engine.Entry {
	if !c.Whole() || !c.completeKey() {
		return nil
	}
	// All that an entry is goes into two pieces of memory: what it is made of, and its bytes.
	described, rows := len(c.Key), len(c.Key)+len(c.answer.Description)
	all := make([]byte, 0, rows+len(c.answer.Body))
	all = append(append(append(all, c.Key...), c.answer.Description...), c.answer.Body...)
	stored := new(stored)
	stored.answer.Description, stored.answer.Body, stored.answer.Consented = all[described:rows:rows], all[rows:], c.Consent
	stored.answer.ByRule, stored.answer.Warmed = c.ByRule, c.Warming
	made := engine.Loaded{
		Key: all[:described:described], Owned: true, Start: c.Start, End: loaded, Tags: c.Tags, Shape: c.Shape, Payload: &stored.answer,
		Life: c.Life, Local: c.Consent || c.Assumed,
	}
	if c.Assumed {
		stored.answer.Assume(c.Generation)
	}
	if c.Terms != nil {
		stored.answer.Terms.Store(c.Terms)
		if made.Life == 0 || c.Terms.TTL > 0 && c.Terms.TTL < made.Life {
			made.Life = c.Terms.TTL
		}
	}
	return of.NewEntryIn(&stored.room, made)
}

// stored is an answer with the entry whose payload it is.
type stored struct {
	answer Answer
	room   engine.Room
}

// Outgrown returns the key of an answer that was too large to be collected, nil of others.
func (c *Capture) Outgrown() []byte {
	if !c.outgrown || !c.completeKey() {
		return nil
	}
	return c.Key
}

// completeKey puts into the key what the client was told of the rows. It reports false
// if they may be others.
func (c *Capture) completeKey() bool {
	if c.Told == nil {
		return true
	}
	told := c.Told.Load()
	key := told.Key()
	copy(c.Key[toldAt:], key[:])
	return told == nil || told.Own
}
