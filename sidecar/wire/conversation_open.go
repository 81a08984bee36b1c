package wire

// beginOpening notes that what begins a block is about to be sent.
func (c *conversation) beginOpening() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beginning = true
}

// oweOpening notes that Postgres owes the answers to one statement of those that begin a
// block.
func (c *conversation) oweOpening() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range [...]expectKind{expectParse, expectBind, expectExecute, expectClose, expectClose} {
		c.oweLocked(expect{kind: kind, hidden: true, opens: true})
	}
}

// awaitOpening waits until Postgres has begun the block, or has failed to.
func (c *conversation) awaitOpening() (unopened bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.beginning && !c.mistrusted && !c.closed {
		c.room.Wait()
	}
	unopened = c.unopened
	c.unopened = false
	return unopened, c.errLocked()
}

// hearOpeningLocked takes in an answer to what begins a block.
func (c *conversation) hearOpeningLocked(due *expect, kind byte) {
	switch answer := [...]byte{expectParse: '1', expectBind: '2', expectExecute: 'C', expectClose: '3'}; {
	case kind == 'D' && due.kind == expectExecute:
		return
	case int(due.kind) >= len(answer) || answer[due.kind] != kind:
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
func (c *conversation) notOpenedLocked() {
	c.beginning, c.unopened, c.shown = false, true, true
	c.blockHeld, c.blockFailed = true, true
}

// holdBlock notes that the BEGIN of a block is held back.
func (c *conversation) holdBlock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockHeld = true
}

// letBlockGo notes that the block is not held back any more.
func (c *conversation) letBlockGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockHeld, c.blockFailed = false, false
}

// failBlock notes whether a statement has failed in the block that is held back.
func (c *conversation) failBlock(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockFailed = failed
}

// failedBlock reports whether a statement has failed in the block that is held back.
func (c *conversation) failedBlock() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blockFailed
}
