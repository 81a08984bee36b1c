package wire

import (
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// conversation is what one session and Postgres have to do with one another: what
// Postgres still owes, and what each of its messages means. It knows no sockets and
// asks nobody: who sends something says so before (owe…), who receives something asks
// what it means (hearLocked). So all that Postgres and its clients may say to one
// another can be tested without either.
//
// It keeps these rules:
//
//  1. An answer belongs to the message that is first in pending, since Postgres answers
//     in the order in which it was asked.
//  2. After an error Postgres skips what comes before the next Sync, a simple Query
//     included. What was expected of that, and believed about names of statements, is
//     taken back.
//  3. While data are copied in, Postgres ignores each Sync before their end.
//  4. What the client may learn from a message is taken in before the message counts
//     as heard: whoever finds that nothing is owed finds it all.
//  5. A message that cannot be explained makes the conversation mistrusted, for good:
//     from then on everything is passed on, and nothing is answered in between.
//
// Two goroutines share it. The first fields belong to the downstream one. mu guards the
// others; functions whose names end in Locked run with it held.
type conversation struct {
	// groupOpen is set by leaveOpen while a part of a group was sent without its Sync,
	// groupHarmful if that part may have changed something, or shown data. oweUnit
	// resets both: the group has ended.
	groupOpen, groupHarmful bool
	// timing, unless nil, is told how long Postgres takes for the unit that is sent
	// next. It is set when that is decided, and reset by oweUnit.
	timing *shapes.Average

	mu sync.Mutex
	// room is signalled when pending has shrunk, and broadcast when the session ends.
	room sync.Cond
	// closed is set by close: nothing more will be heard, and nobody is to wait for it.
	closed bool

	pending expectations
	// skipping is set by an error while the Sync up to which Postgres skips has not been
	// sent yet, and reset by that Sync.
	skipping bool
	// copying is set while Postgres waits for the end of data that the client has not
	// sent yet. That end resets it, or an error.
	copying bool
	// undone are changes of names that did not happen, until takeUndone takes them.
	// someUndone is set if there are any, for a look without mu.
	undone     []*statements.Change
	someUndone atomic.Bool

	// status is the transaction state of the last ReadyForQuery, as Postgres knows it.
	status byte
	// dirty is set by soilLocked when something may have changed the session's settings,
	// and reset by beginProbe. changes counts what has set it.
	dirty   bool
	changes uint64
	// disturbed is set with dirty, and reset when Postgres is idle.
	disturbed bool
	// shown is set when Postgres has shown the client something, and reset by standing,
	// which tells of it.
	shown bool
	// mistrusted is set, for good, when Postgres sent what was not expected.
	mistrusted bool
	// written is what may have been written since Postgres was idle last. unmarked is
	// set while the client is about to be told, ended if that is all of it: see
	// acknowledgedLocked, which resets them.
	written         written
	unmarked, ended bool
	// group gathers what is known of the answers up to the next ReadyForQuery.
	group answeredGroup
	// captured and found are what hearLocked has news of, until the next of their kind.
	captured []*answer.Capture
	found    []byte
	// params is the body of the last ParameterDescription, for the RowDescription behind.
	params []byte

	// blockHeld is set while the BEGIN of the client's block is held back, blockFailed
	// when a statement has failed in that block.
	blockHeld, blockFailed bool
	// beginning is set by beginOpening while the answers to what begins a block are
	// owed; unopened when they were an error, until awaitOpening takes it.
	beginning, unopened bool

	// left is set when Postgres has said that it ends the connection, or has ended it:
	// with the session's writeMu held, so that nothing is answered behind that.
	left atomic.Bool
	// namesDoubtful is set when SQL may have ended prepared statements, and reset when
	// it was found out which names still stand.
	namesDoubtful atomic.Bool
	// loaded is set, for good, when the client has loaded a library into its session.
	loaded atomic.Bool
}

// answeredGroup is what was seen of a unit's answers so far. The ReadyForQuery that ends
// them resets it.
type answeredGroup struct {
	failed   bool // an ErrorResponse: the rest up to the Sync is skipped
	unopened bool // it was the BEGIN before them that failed
	noticed  bool // a notice, which a hit could not repeat
	harmful  bool // a Sync that Postgres ignored ended something that may have changed something
	captures []*answer.Capture
	row      []byte // the DataRow of a question of the sidecar's own
}

// standing is what the downstream side may rely on while nothing is owed.
type standing struct {
	// reason, unless empty, says why nothing can be answered at this moment.
	reason string
	// dirty is set if something may have changed the session's settings since the last
	// probe, and changes how often that was so.
	dirty   bool
	changes uint64
	// shown is set if Postgres has shown the client something since the last standing.
	shown bool
}

// standing tells how things stand for a message that is to be answered now.
func (c *conversation) standing() standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason := c.obstacleLocked(); reason != "" {
		return standing{reason: reason}
	}
	// What a group has shown before its Sync, a description perhaps, counts too.
	shown := c.shown || c.groupOpen
	c.shown = false
	return standing{dirty: c.dirty, changes: c.changes, shown: shown}
}

// obstacleLocked says why nothing can be answered at this moment, whatever is asked.
func (c *conversation) obstacleLocked() string {
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
	case c.status != protocol.StatusIdle:
		return reasons.InTransaction
	}
	return ""
}

// begin notes the first ReadyForQuery of a connection.
func (c *conversation) begin(status byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// mistrust has everything passed on from now on.
func (c *conversation) mistrust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mistrusted = true
}

// understandsLocked reports whether a message of this length can be heard, since it and
// all before it were understood. If not, it has everything passed on from now on.
func (c *conversation) understandsLocked(length int) bool {
	c.mistrusted = c.mistrusted || length < 0
	return !c.mistrusted
}

// close lets go whoever waits for what will not be heard any more.
func (c *conversation) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.room.Broadcast()
}

// owed reports whether Postgres owes an answer.
func (c *conversation) owed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() > 0
}

// nothingOpen reports whether Postgres has answered everything, and is in no transaction.
func (c *conversation) nothingOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.len() == 0 && c.status == protocol.StatusIdle && !c.groupOpen && !c.unsettledLocked()
}

// idle is idleLocked for who does not hold mu.
func (c *conversation) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idleLocked()
}

// idleLocked reports whether the client is in the middle of nothing.
func (c *conversation) idleLocked() bool {
	return c.pending.len() == 0 && c.status == protocol.StatusIdle && !c.blockHeld
}

// transactionStatus is the transaction state that Postgres knows of; 0 if that is not
// certain.
func (c *conversation) transactionStatus() byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mistrusted {
		return 0
	}
	return c.status
}

// soil notes that something may have changed the session's settings.
func (c *conversation) soil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.soilLocked()
}

func (c *conversation) soilLocked() {
	c.dirty, c.disturbed = true, true
	c.changes++
}

// beginProbe is called before the session's settings are asked for: what soils them
// from now on, the answer may lack.
func (c *conversation) beginProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = false
	if c.status == protocol.StatusIdle {
		c.disturbed = false
	}
}

// failProbe notes that the settings were not found out.
func (c *conversation) failProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// clean reports whether nothing became known that may have changed the session's
// settings since they were asked for. The follower says so before it publishes a head
// that includes a reload of the configuration, so who took a label from that head and
// finds the conversation clean has asked for the settings since.
func (c *conversation) clean() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dirty
}

// changedSince reports whether something may have changed the settings since a number
// of changes.
func (c *conversation) changedSince(changes uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes != changes
}

// show notes that the client may have been shown something before now.
func (c *conversation) show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = true
}

// certain reports whether Postgres will deal with a message that is sent now as soon as
// it comes, and under the settings that the last probe found.
func (c *conversation) certain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dirty && !c.mistrusted && !c.skipping && c.pending.len() == 0 && !(c.groupOpen && c.groupHarmful)
}

// undisturbed reports whether all that was sent since Postgres was idle last is known to
// leave settings and definitions as they were: then what is known of them holds for a
// message that is sent now, in a transaction too.
func (c *conversation) undisturbed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dirty && !c.disturbed && !c.written.definitions && !c.unsettledLocked() &&
		c.pending.harmful == 0 && !(c.groupOpen && c.groupHarmful)
}

// midGroup reports whether Postgres was sent a part of a group, and not its Sync. It is for
// the downstream goroutine.
func (c *conversation) midGroup() bool { return c.groupOpen }

// leaveOpen notes that a group goes on whose beginning was sent.
func (c *conversation) leaveOpen(harmless bool) {
	c.groupOpen = true
	c.groupHarmful = c.groupHarmful || !harmless
}

// awaitAnswers waits until Postgres owes nothing. What is owed must have been sent.
func (c *conversation) awaitAnswers() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending.len() > 0 && !c.closed {
		c.room.Wait()
	}
	return c.errLocked()
}

// awaitSettled waits until Postgres owes nothing. It reports false if Postgres skips what
// comes, or waits for data.
func (c *conversation) awaitSettled() (settled bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending.len() > 0 && !c.unsettledLocked() && !c.closed {
		c.room.Wait()
	}
	return !c.unsettledLocked(), c.errLocked()
}

func (c *conversation) unsettledLocked() bool { return c.skipping || c.copying || c.mistrusted }

// errLocked is errDone if nobody is to wait or to send any more.
func (c *conversation) errLocked() error {
	if c.closed {
		return errDone
	}
	return nil
}

// abandon lets go whoever waits for a load of this session.
func (c *conversation) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, loading := range c.group.captures {
		loading.Release(nil)
	}
	for c.pending.len() > 0 {
		if loading := c.pending.head().capture; loading != nil {
			loading.Release(nil)
		}
		c.pending.pop()
	}
}
