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

// AwaitRow waits until Postgres has answered the question of the sidecar's own that is owed.
// row is its DataRow, nil if there was none or the question failed.
func (c *Conversation) AwaitRow() (row []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.asking && !c.mistrusted && !c.closed {
		c.room.Wait()
	}
	return c.row, c.errLocked()
}

// AwaitRows is AwaitRow for a question of OweRows, with all its rows: nil if it failed, or
// if a notice came or a setting became known.
func (c *Conversation) AwaitRows() (rows [][]byte, err error) {
	_, err = c.AwaitRow()
	c.mu.Lock()
	defer c.mu.Unlock()
	rows, c.rows = c.rows, nil
	return rows, err
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
