package conversation

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// Standing is what the downstream side may rely on while nothing is owed.
type Standing struct {
	// Reason, unless empty, says why nothing can be answered at this moment.
	Reason string
	// Dirty is set if something may have changed the session's settings since the last
	// probe, and Changes how often that was so.
	Dirty   bool
	Changes uint64
	// ShownBy is the moment by which Postgres had shown the client all that it has shown since
	// Stand was asked last, 0 if that is nothing.
	ShownBy fence.Instant
	// InBlock is set if Postgres is in a transaction block, whatever the reason.
	InBlock bool
	// Outside is set if Postgres is in no transaction, whatever comes of what it was sent.
	Outside bool
}

// Stand tells how things stand for a message that is to be answered now. (What is filled where it
// lies, a hit need not copy.)
func (c *Conversation) Stand(now *Standing) {
	*now = Standing{}
	c.mu.Lock()
	defer c.mu.Unlock()
	now.InBlock = c.status == protocol.StatusInBlock
	now.Outside = c.status == protocol.StatusIdle && c.pending.len() == 0 && !c.groupOpen
	if now.Reason = c.obstacleLocked(); now.Reason != "" {
		return
	}
	// What a group has shown before its Sync, a description perhaps, counts too.
	now.ShownBy = c.shownBy
	if c.groupOpen {
		now.ShownBy = fence.Now()
	}
	c.shownBy = 0
	now.Dirty, now.Changes = c.dirty, c.changes
}

// obstacleLocked says why nothing can be answered at this moment, whatever is asked.
func (c *Conversation) obstacleLocked() string {
	switch {
	case c.mistrusted:
		return reasons.Confused
	case c.blockFailed:
		return reasons.Failed
	case c.groupOpen && (c.groupHarmful || c.skipping || c.pending.len() > 0):
		return reasons.OpenGroup
	case c.pending.len() > 0, len(c.undone) > 0: // what was believed of names is not certain
		return reasons.Pipelined
	case c.status == protocol.StatusFailed:
		return reasons.Failed
	case c.status != protocol.StatusIdle && !c.hasOnlyReadLocked():
		return reasons.InTransaction
	}
	return ""
}

// hasOnlyReadLocked reports whether the transaction that Postgres is in has not failed, is in
// READ COMMITTED and has done nothing but read. No other BEGIN than one in READ COMMITTED
// is known to change nothing, under a state that is known.
func (c *Conversation) hasOnlyReadLocked() bool {
	return c.status == protocol.StatusInBlock && !c.dirty && !c.disturbed &&
		c.written.Nothing() && !c.written.Definitions && !c.written.Roles
}

// Owed reports whether Postgres owes an answer.
func (c *Conversation) Owed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() > 0
}

// NothingOpen reports whether Postgres has answered everything, and is in no transaction.
func (c *Conversation) NothingOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() == 0 && c.status == protocol.StatusIdle && !c.groupOpen && !c.unsettledLocked()
}

// Doing reports, for people, whether the client waits for Postgres' answer, and whether it
// is in a transaction as it knows it.
func (c *Conversation) Doing() (waits, inTransaction bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() > 0, c.blockHeld || c.status == protocol.StatusInBlock || c.status == protocol.StatusFailed
}

// Idle is IdleLocked for who does not hold the lock.
func (c *Conversation) Idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.IdleLocked()
}

// IdleLocked reports whether the client is in the middle of nothing.
func (c *Conversation) IdleLocked() bool {
	return c.pending.len() == 0 && c.status == protocol.StatusIdle && !c.blockHeld
}

// TransactionStatus is the transaction state that Postgres knows of; 0 if that is not
// certain.
func (c *Conversation) TransactionStatus() byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mistrusted {
		return 0
	}
	return c.status
}

// Certain reports whether Postgres will deal with a message that is sent now as soon as
// it comes, and under the settings that the last probe found.
func (c *Conversation) Certain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dirty && !c.mistrusted && !c.skipping && c.pending.len() == 0 && !(c.groupOpen && c.groupHarmful)
}

// OwesReadsAlone reports whether Postgres owes answers to whole units which are known to change
// neither settings nor definitions, and was in no transaction before: then what is known of
// the session holds for a unit that is sent now, too. One of them may be a BEGIN, and a write
// may follow it: what is captured behind these is spoiled when its answer has come.
func (c *Conversation) OwesReadsAlone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status == protocol.StatusIdle && !c.blockHeld && !c.groupOpen && len(c.undone) == 0 &&
		!c.dirty && !c.disturbed && c.written.Nothing() && !c.written.Definitions && !c.written.Roles &&
		!c.unsettledLocked() && c.pending.harmful == 0
}

// Undisturbed reports whether all that was sent since Postgres was idle last is known to
// leave settings and definitions as they were: then what is known of them holds for a
// message that is sent now, in a transaction too.
func (c *Conversation) Undisturbed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dirty && !c.disturbed && !c.written.Definitions && !c.unsettledLocked() &&
		c.pending.harmful == 0 && !(c.groupOpen && c.groupHarmful)
}
