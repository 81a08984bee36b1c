package conversation

import "github.com/freshet/freshet/cache/fence"

// BeginOpening notes that what begins a block is about to be sent.
func (c *Conversation) BeginOpening() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beginning = true
}

// OweOpening notes that Postgres owes the answers to one statement of those that begin a
// block.
func (c *Conversation) OweOpening() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range [...]Kind{Parse, Bind, Execute, Close, Close} {
		c.oweLocked(Expectation{Kind: kind, Hidden: true, opens: true})
	}
}

// AwaitOpening waits until Postgres has begun the block, or has failed to.
func (c *Conversation) AwaitOpening() (unopened bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.beginning && !c.mistrusted && !c.closed {
		c.room.Wait()
	}
	for c.owesOnlySyncLocked() && !c.closed {
		c.room.Wait() // it is on its way, or the client would be taken for one that does not wait
	}
	unopened = c.unopened
	c.unopened = false
	return unopened, c.errLocked()
}

// owesOnlySyncLocked reports whether all that Postgres owes is the answer to a Sync of the
// sidecar's own, behind what the client waited for.
func (c *Conversation) owesOnlySyncLocked() bool {
	due := c.pending.head()
	return c.pending.len() == 1 && due.Kind == Sync && due.Hidden
}

// hearOpeningLocked takes in an answer to what begins a block.
func (c *Conversation) hearOpeningLocked(due *Expectation, kind byte) {
	switch answer := [...]byte{Parse: '1', Bind: '2', Execute: 'C', Close: '3'}; {
	case kind == 'D' && due.Kind == Execute:
		return
	case int(due.Kind) >= len(answer) || answer[due.Kind] != kind:
		c.mistrusted = true
		return
	}
	c.pending.pop()
	if next := c.pending.head(); next == nil || !next.opens {
		c.beginning = false
	}
}

// notOpenedLocked notes that BEGIN failed, and that Postgres skipped the statement behind
// it: the block is held back again, and marked failed.
func (c *Conversation) notOpenedLocked() {
	c.beginning, c.unopened, c.shownBy = false, true, fence.Now()
	c.blockHeld, c.blockFailed = true, true
}

// HoldBlock notes that the BEGIN of a block is held back.
func (c *Conversation) HoldBlock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockHeld = true
}

// LetBlockGo notes that the block is not held back any more.
func (c *Conversation) LetBlockGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockHeld, c.blockFailed = false, false
}

// FailBlock notes whether a statement has failed in the block that is held back.
func (c *Conversation) FailBlock(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockFailed = failed
}

// FailedBlock reports whether a statement has failed in the block that is held back.
func (c *Conversation) FailedBlock() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blockFailed
}
