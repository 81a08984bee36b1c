package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// pendingMax bounds the answers that Postgres may owe before no more is read
// from the client.
const pendingMax = 1 << 16

// oweUnit notes that Postgres owes the answer to a whole unit, which ends in
// ReadyForQuery. It waits while too much is owed.
func (c *conversation) oweUnit(e expect) {
	e.harmless = e.harmless && !c.groupHarmful
	c.groupOpen, c.groupHarmful = false, false
	if c.timing != nil && !e.hidden {
		e.timing, e.sent, c.timing = c.timing, fence.Now(), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending.len() >= pendingMax && !c.closed {
		c.room.Wait()
	}
	c.oweLocked(e)
}

// owe notes that Postgres owes the answer to one message.
func (c *conversation) owe(e expect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oweLocked(e)
}

// oweRow notes that Postgres owes the answer to a question of the sidecar's own.
// Nothing else may be owed.
func (c *conversation) oweRow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending.push(expectRow)
}

// oweLocked notes that Postgres owes an answer, unless it is going to skip the
// message.
func (c *conversation) oweLocked(e expect) {
	switch {
	case e.kind == expectCopyEnd && (c.copying || c.pending.len() == 0):
		c.copying = false
	case e.kind == expectSync && c.copying:
		c.group.harmful = c.group.harmful || !e.harmless
	case e.kind == expectSync:
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
func (c *conversation) skipLocked(e *expect) {
	if e.change != nil {
		c.undone = append(c.undone, e.change)
		c.someUndone.Store(true)
	}
	if e.capture != nil {
		e.capture.Release(nil)
	}
}

// takeUndone returns the changes of names that did not happen, in the order in which
// they were believed to.
func (c *conversation) takeUndone() []*statements.Change {
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
func (c *conversation) failLocked(due *expect) {
	c.copying = false
	switch {
	case due.endsUnit():
		return
	case due.opens:
	case due.kind == expectParse && due.hidden:
		due.change.Drop() // Postgres has dropped what it held; the client has not
	case due.kind == expectParse && due.change != nil && due.change.Name == "":
		due.prepared.Failed.Store(true)
		due.change = nil
	}
	for due := c.pending.head(); due == nil || due.kind != expectSync; due = c.pending.head() {
		if due == nil {
			c.skipping = true // the Sync has yet to come
			return
		}
		c.skipLocked(due)
		c.pending.pop()
	}
}

// makeRoomLocked lets go who waits until less is owed.
func (c *conversation) makeRoomLocked() {
	if c.pending.len() < pendingMax {
		c.room.Signal()
	}
}

// copyInLocked notes that Postgres waits for data from the client: it ignores the
// Syncs that come before their end.
func (c *conversation) copyInLocked() {
	harmful, ended := c.pending.dropIgnored()
	c.group.harmful = c.group.harmful || harmful
	c.copying = !ended
}
