package conversation

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// OwedMax bounds the answers that Postgres may owe before no more is read
// from the client.
const OwedMax = 1 << 16

// OweUnit notes that Postgres owes the answer to a whole unit, which ends in
// ReadyForQuery. It waits while too much is owed.
func (c *Conversation) OweUnit(e Expectation) {
	e.Harmless = e.Harmless && !c.groupHarmful
	e.ShowsNothing = e.ShowsNothing && !c.groupShows
	c.groupOpen, c.groupHarmful, c.groupShows = false, false, false
	if c.timing != nil && !e.Hidden {
		e.timing, e.sent, c.timing = c.timing, fence.Now(), nil
	}
	if c.measure.Arrived != 0 && !e.Hidden {
		e.measure, c.measure = c.measure, Measure{}
		if e.sent == 0 {
			e.sent = fence.Now()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending.len() >= OwedMax && !c.closed {
		c.room.Wait()
	}
	c.oweLocked(e)
}

// Owe notes that Postgres owes the answer to one message.
func (c *Conversation) Owe(e Expectation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oweLocked(e)
}

// OweRow notes that Postgres owes the answer to a question of the sidecar's own.
// Nothing else may be owed.
func (c *Conversation) OweRow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking, c.row, c.rows = true, nil, nil
	c.pending.push(question)
}

// OweRows is OweRow for a question of which AwaitRows tells the rows.
func (c *Conversation) OweRows() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking, c.row, c.rows = true, nil, nil
	asked := question
	asked.rows = true
	c.pending.push(asked)
}

// OweLookup is OweRow for a question that goes along with what follows: found is called with its
// row, nil if it failed, by who reads Postgres, before the answers behind it are heard. It may
// be owed behind what is known to change nothing.
func (c *Conversation) OweLookup(found func(row []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := question
	asked.found = found
	c.pending.push(asked)
}

// oweLocked notes that Postgres owes an answer, unless it is going to skip the
// message.
func (c *Conversation) oweLocked(e Expectation) {
	switch {
	case e.Kind == CopyEnd && (c.copying || c.pending.len() == 0):
		c.copying = false
	case e.Kind == Sync && c.copying:
		c.group.harmful = c.group.harmful || !e.Harmless
	case e.Kind == Sync:
		c.skipping = false
		c.pending.push(e)
	case c.skipping:
		c.skipLocked(&e)
	default:
		c.pending.push(e)
	}
}

// skipLocked gives up the answer to a message that Postgres skips. What the message
// would have done to names is taken back before the client's next one is looked at.
func (c *Conversation) skipLocked(e *Expectation) {
	if e.Change != nil {
		c.undone = append(c.undone, e.Change)
		c.someUndone.Store(true)
	}
	if e.Capture != nil {
		e.Capture.Release(nil)
	}
}

// TakeUndone returns the changes of names that did not happen, in the order in which
// they were believed to.
func (c *Conversation) TakeUndone() []*statements.Change {
	if !c.someUndone.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	undone := c.undone
	c.undone = nil
	c.someUndone.Store(false)
	return undone
}

// failLocked takes back what the message that failed, and those that Postgres
// skips for it, would have answered and changed.
func (c *Conversation) failLocked(due *Expectation) {
	c.copying = false
	switch {
	case due.endsUnit():
		return
	case due.opens:
	case due.Kind == Parse && due.Hidden:
		due.Change.Drop() // Postgres has dropped what it held; the client has not
	case due.Kind == Parse && due.Change != nil && due.Change.Name == "":
		due.Prepared.Failed.Store(true)
		due.Change = nil
	}
	for due := c.pending.head(); due == nil || due.Kind != Sync; due = c.pending.head() {
		if due == nil {
			c.skipping = true // the Sync has yet to come
			return
		}
		c.skipLocked(due)
		c.pending.pop()
	}
}

// MakeRoomLocked lets go who waits until less is owed.
func (c *Conversation) MakeRoomLocked() {
	if c.pending.len() < OwedMax {
		c.room.Signal()
	}
}

// copyInLocked notes that Postgres waits for data from the client: it ignores the
// Syncs that come before their end.
func (c *Conversation) copyInLocked() {
	harmful, ended := c.pending.dropIgnored()
	c.group.harmful = c.group.harmful || harmful
	c.copying = !ended
}
