// Package conversation is what one session and Postgres have to do with one another: what
// Postgres still owes, and what each of its messages means: whether the client gets it, which
// answer it belongs to, and what is taken back for it. It knows no sockets and asks nobody:
// who sends something says so before (Owe…), who receives something asks what it means
// (HearLocked). So all that Postgres and its clients may say to one another can be tested
// without either.
//
// A Conversation keeps these rules:
//
//  1. An answer belongs to the expectation that is first in the queue, since Postgres
//     answers in the order in which it was asked.
//  2. After an error Postgres skips what comes before the next Sync, a simple Query
//     included. What was expected of that, and believed about names of statements, is
//     taken back.
//  3. While data are copied in, Postgres ignores each Sync before their end.
//  4. What the client may learn from a message is taken in before the message counts
//     as heard: whoever finds that nothing is owed finds it all. So who hears messages
//     holds the lock until it has dealt with what they mean, too.
//  5. A message that cannot be explained makes the conversation mistrusted, for good:
//     from then on everything is passed on, and nothing is answered in between.
//
// It does not read or write what it is told of, looks up nothing, stores no answer, and
// does not know what a text means: whoever sends it says what it may change and write.
//
// Two goroutines share a Conversation. Downstream has the session's turn and says what is sent:
// it alone calls MidGroup, LeaveOpen, OweUnit, Time, Standing, NothingOpen, Certain and
// Undisturbed. Upstream reads Postgres, and hears. All other methods are for anybody;
// those whose names end in Locked between Lock and Unlock.
package conversation

import (
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Conversation is that of one session with Postgres: see the package. New makes it.
type Conversation struct {
	// The first fields belong to the downstream goroutine, mu guards the others.

	// groupOpen is set by LeaveOpen while a part of a group was sent without its Sync,
	// groupHarmful if that part may have changed something, and groupShows if it may have shown
	// data. OweUnit resets all: the group has ended.
	groupOpen, groupHarmful, groupShows bool
	// timing, unless nil, is told how long Postgres takes for the unit that is sent
	// next. Time sets it, OweUnit resets it.
	timing *shapes.Average
	// measure is of the unit that is sent next, if its Arrived is not 0. It is set when that
	// is decided, and reset by OweUnit.
	measure Measure

	mu sync.Mutex
	// room is signalled when pending has shrunk, and broadcast when the session ends.
	room sync.Cond
	// closed is set by Close: nothing more will be heard, and nobody is to wait for it.
	closed bool

	pending expectations
	// skipping is set by an error while the Sync up to which Postgres skips has not been
	// sent yet, and reset by that Sync.
	skipping bool
	// copying is set while Postgres waits for the end of data that the client has not
	// sent yet. That end resets it, or an error.
	copying bool
	// undone are changes of names that did not happen, until TakeUndone takes them.
	// someUndone is set if there are any, for a look without mu.
	undone     []*statements.Change
	someUndone atomic.Bool

	// status is the transaction state of the last ReadyForQuery, as Postgres knows it.
	status byte
	// dirty is set by soilLocked when something may have changed the session's settings,
	// and reset by BeginProbe. changes counts what has set it.
	dirty   bool
	changes uint64
	// disturbed is set with dirty, and reset when Postgres is idle.
	disturbed bool
	// shownBy is set when Postgres has shown the client something, to a moment behind
	// that, and reset by Standing, which tells of it.
	shownBy fence.Instant
	// mistrusted is set, for good, when Postgres sent what was not expected.
	mistrusted bool
	// written is what may have been written since Postgres was idle last. unmarked is
	// set while the client is about to be told, ended if that is all of it: see
	// MarkedLocked, which resets them.
	written         Written
	unmarked, ended bool
	// group gathers what is known of the answers up to the next ReadyForQuery.
	group answeredGroup
	// captured is what HearLocked has news of, until the next.
	captured []*answer.Capture
	// asking is set by OweRow while a question of the sidecar's own is not answered. row is
	// the answer's last DataRow, nil if it had none or the question failed; rows are all of
	// them, for a question of OweRows that nothing else was said to.
	asking bool
	row    []byte
	rows   [][]byte
	// measured is of the latest unit that Ended.
	measured Measured
	// params is the body of the last ParameterDescription, for the RowDescription behind.
	params []byte

	// blockHeld is set while the BEGIN of the client's block is held back, blockFailed
	// when a statement has failed in that block.
	blockHeld, blockFailed bool
	// beginning is set by BeginOpening while the answers to what begins a block are
	// owed; unopened when they were an error, until AwaitOpening takes it.
	beginning, unopened bool

	// left is set when Postgres has said that it ends the connection, or has ended it.
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
	row      []byte   // the DataRow of a question of the sidecar's own
	rows     [][]byte // all of them, if it is one of OweRows
}

// New returns the conversation of a connection on which nothing was said yet.
func New() *Conversation {
	c := &Conversation{}
	c.room.L = &c.mu
	return c
}

// Lock begins a time in which only its caller hears messages, and changes what is known by
// them. Whoever else asks waits for Unlock.
func (c *Conversation) Lock() { c.mu.Lock() }

// Unlock ends what Lock has begun.
func (c *Conversation) Unlock() { c.mu.Unlock() }

// Begin notes the first ReadyForQuery of a connection.
func (c *Conversation) Begin(status byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// Mistrust has everything passed on from now on.
func (c *Conversation) Mistrust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mistrusted = true
}

// UnderstandsLocked reports whether a message of this length can be heard, since it and
// all before it were understood. If not, it has everything passed on from now on.
func (c *Conversation) UnderstandsLocked(length int) bool {
	c.mistrusted = c.mistrusted || length < 0
	return !c.mistrusted
}

// Close lets go whoever waits for what will not be heard any more.
func (c *Conversation) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.room.Broadcast()
}

// Show notes that the client may have been shown something before now.
func (c *Conversation) Show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shownBy = fence.Now()
}

// Left reports whether Postgres has said that it ends the connection, or has ended it. Who
// answers the client asks that with the client's connection to itself, as who hears has it:
// so nothing is answered behind that.
func (c *Conversation) Left() bool { return c.left.Load() }

// Leave notes that Postgres has ended the connection.
func (c *Conversation) Leave() { c.left.Store(true) }

// NamesDoubtful reports whether SQL may have ended prepared statements, and nobody has found
// out since which names still stand.
func (c *Conversation) NamesDoubtful() bool { return c.namesDoubtful.Load() }

// NamesKnown notes that it was found out which names still stand.
func (c *Conversation) NamesKnown() { c.namesDoubtful.Store(false) }

// LoadedLibrary reports whether the client has loaded a library into its session.
func (c *Conversation) LoadedLibrary() bool { return c.loaded.Load() }

// Time has took told how long Postgres takes for the unit that is sent next.
func (c *Conversation) Time(took *shapes.Average) { c.timing = took }

// MidGroup reports whether Postgres was sent a part of a group, and not its Sync.
func (c *Conversation) MidGroup() bool { return c.groupOpen }

// LeaveOpen notes that a group goes on whose beginning was sent.
func (c *Conversation) LeaveOpen(harmless, shows bool) {
	c.groupOpen = true
	c.groupHarmful = c.groupHarmful || !harmless
	c.groupShows = c.groupShows || shows
}

// Abandon lets go whoever waits for a load of this session.
func (c *Conversation) Abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, loading := range c.group.captures {
		loading.Release(nil)
	}
	for c.pending.len() > 0 {
		if loading := c.pending.head().Capture; loading != nil {
			loading.Release(nil)
		}
		c.pending.pop()
	}
}
