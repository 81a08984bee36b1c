package conversation

import "errors"

// ErrClosed is what a wait ends with that was let go: nothing more will be heard.
var ErrClosed = errors.New("the conversation is over")

// AwaitAnswers waits until Postgres owes nothing. What is owed must have been sent.
func (c *Conversation) AwaitAnswers() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending.len() > 0 && !c.closed {
		c.room.Wait()
	}
	return c.errLocked()
}

// AwaitSettled waits until Postgres owes nothing. It reports false if Postgres skips what
// comes, or waits for data.
func (c *Conversation) AwaitSettled() (settled bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending.len() > 0 && !c.unsettledLocked() && !c.closed {
		c.room.Wait()
	}
	return !c.unsettledLocked(), c.errLocked()
}

func (c *Conversation) unsettledLocked() bool { return c.skipping || c.copying || c.mistrusted }

// errLocked is ErrClosed if nobody is to wait or to send any more.
func (c *Conversation) errLocked() error {
	if c.closed {
		return ErrClosed
	}
	return nil
}
