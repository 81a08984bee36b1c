package wire

import (
	"bytes"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// capture collects one answer on its way to the client, to be stored if the
// group that it belongs to ends well.
type capture struct {
	key   []byte
	start engine.Start
	tags  []fence.Tag
	shape uint64
	// flight, unless nil, is waited for by others who want the same answer.
	flight *engine.Flight
	// bound, unless nil, is the statement whose rows these are, without a description:
	// what the client was told of it belongs to the key, and may still be on its way.
	bound *prepared
	// confirming, unless nil, has to confirm the load, made on a replica, before it
	// is stored.
	confirming *Server

	answer   answer
	sizeMax  int
	complete bool // the CommandComplete, the PortalSuspended or the whole description, was seen
	spoiled  bool // too large, or not an answer that can be repeated
}

// add appends a piece of a message to the part of the answer that it belongs to.
func (c *capture) add(kind byte, piece []byte) {
	if c.spoiled {
		return
	}
	if c.answer.Size()+len(piece) > c.sizeMax {
		c.spoil()
		return
	}
	switch kind {
	case 'T', 't', 'n':
		c.answer.description = append(c.answer.description, piece...)
	default:
		c.answer.body = append(c.answer.body, piece...)
	}
}

// spoil gives the capture up and lets those who wait for it load themselves.
func (c *capture) spoil() {
	c.spoiled = true
	c.answer = answer{}
	c.release(nil)
}

// spoilIfAny is spoil; c may be nil.
func (c *capture) spoilIfAny() {
	if c != nil {
		c.spoil()
	}
}

// release tells those who wait that the load has ended with entry, or with
// nothing. It may be called more than once; the first counts.
func (c *capture) release(entry *engine.Entry) {
	if c.flight != nil {
		c.flight.Finish(entry)
		c.flight = nil
	}
}

// store puts the answer into the cache.
func (c *capture) store(to *engine.Cache, loaded fence.Instant) {
	if c.spoiled || !c.complete || !c.completeKey() {
		c.release(nil)
		return
	}
	// The buffers grew by doubling; what stays in memory should not.
	stored := &answer{description: bytes.Clone(c.answer.description), body: bytes.Clone(c.answer.body)}
	entry := to.NewEntry(engine.Loaded{Key: c.key, Start: c.start, End: loaded, Tags: c.tags, Shape: c.shape, Payload: stored})
	if c.confirming != nil {
		c.confirming.confirmReplica(entry, c.start, loaded, c.flight)
		c.flight = nil
		return
	}
	to.Store(entry)
	c.release(entry)
}

// completeKey puts into the key what the client was told of the rows. It reports false
// if they may be others.
func (c *capture) completeKey() bool {
	if c.bound == nil {
		return true
	}
	told := c.bound.told.Load()
	key := told.Key()
	copy(c.key[toldAt:], key[:])
	return told == nil || told.Own
}
