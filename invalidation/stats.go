package invalidation

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/cache/fence"
)

// FollowerStats are counters since the follower was made.
type FollowerStats struct {
	Looks  uint64
	Events uint64
	// EventsOf are Events by what they change at most: "row", values of columns that are
	// watched; "table", a table as a whole; "schema", names, rights or definitions; "own", tags
	// of the application's own.
	EventsOf map[string]uint64
	// TablesLost counts tables that were watched and then were not, by the cause: a "column" is
	// gone that their triggers name; a "trigger" is gone, or is another; one is "disabled"; they
	// were "dropped"; or what all tables share of the "installation" is not in place.
	TablesLost map[string]uint64
	// Resets counts, by cause, how often the fence was told to trust nothing older.
	Resets        map[string]uint64
	Notifications uint64
	// Reconnects counts sessions that ended in an error, of all three connections, and
	// ReconnectsOf those of each part: looker, doorbell and keeper.
	Reconnects   uint64
	ReconnectsOf map[string]uint64
	// Ended counts the answers that NoteEnded was told of, by what has ended them.
	Ended map[string]uint64
	// Working says of each part whether it has its connection, or needs none at rest.
	Working map[string]bool
	// Audits counts how often the keeper read all that is installed, because something
	// may have changed.
	Audits uint64
	// Awake says that this follower looks every few milliseconds now, for all.
	Awake bool
	// Sleeper says that writers ring because this follower would hear it, unless one
	// is awake. It is one of all followers of a database.
	Sleeper bool
	// Resting says that nobody reads, and that looks are made by and by only, and prove
	// nothing to readers.
	Resting bool
	// LookBegan is when the last look that completed began, 0 before the first.
	LookBegan fence.Instant
	// HintsSaid and HintsHeard count what was said to the other followers of the fleet, and
	// heard from them. Relying says that this one leaves it to them to look often.
	HintsSaid, HintsHeard uint64
	Relying               bool
	// Outbox says how much the outbox holds.
	Outbox OutboxStats
	// Server is what the keeper has read of the server last.
	Server ServerStats
	// Written counts, by the OID of the root of a table's tree, what was received of its
	// changes. It must not be changed.
	Written map[uint32]Written
	// Happened are the latest changes of definitions and of what is watched, and purges, the oldest
	// first.
	Happened []Happening
	// Position is where the server's log was after the last look, 0 before the
	// first.
	Position uint64
	// LastError is the last failure, "" if there was none yet. It may be over.
	LastError string
	// Wanting says what should be watched and is not, because the role has no right
	// to install it, and the command that does; "" if there is nothing.
	Wanting string
}

// counters collect the stats.
type counters struct {
	looks, events, notifications, position atomic.Uint64
	eventsOf                               [eventKinds]atomic.Uint64
	lostTables                             [losses]atomic.Uint64
	endedOf                                [endKinds]atomic.Uint64
	lookBegan                              atomic.Int64
	audits, hintsSaid, hintsHeard          atomic.Uint64
	awake, sleeper                         atomic.Bool
	// deaf is set by the doorbell while it does not listen, because the fleet's hints are relied
	// on, and reset when it connects.
	deaf atomic.Bool

	mu         sync.Mutex
	resets     map[string]uint64
	reconnects uint64
	failures   map[string]uint64 // by part
	working    map[string]bool   // by part
	lastError  string
	outbox     OutboxStats
	server     ServerStats
	written    map[uint32]Written
	happenings uint64
	latest     []Happening
}

func (c *counters) looked(s *sighting, cause string, began fence.Instant) {
	c.lookBegan.Store(int64(began))
	c.looks.Add(1)
	c.events.Add(uint64(len(s.events)))
	for kind, n := range s.kinds {
		c.eventsOf[kind].Add(n)
	}
	c.position.Store(s.position)
	if cause == "" && len(s.written) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wroteLocked(s.written, time.Now())
	if cause == "" {
		return
	}
	if c.resets == nil {
		c.resets = map[string]uint64{}
	}
	c.resets[cause]++
}

// noted keeps an error that ended nothing.
func (c *counters) noted(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError = err.Error()
}

// parts are those of a follower, each with a connection of its own.
const (
	partLooker   = "looker"
	partDoorbell = "doorbell"
	partKeeper   = "keeper"
)

// works notes that a part has its connection.
func (c *counters) works(part string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working[part] = true
}

// failed notes that a part has lost its connection, or did not get one.
func (c *counters) failed(part string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconnects++
	c.failures[part]++
	c.working[part] = false
	c.lastError = err.Error()
}

// Stats returns the counters. How old the head is, fence.LookBegan says.
func (f *Follower) Stats() FollowerStats {
	c := &f.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	wanting := ""
	if text := f.wanting.Load(); text != nil {
		wanting = *text
	}
	events := make(map[string]uint64, eventKinds)
	for kind := range eventKinds {
		events[kind.String()] = c.eventsOf[kind].Load()
	}
	lost := make(map[string]uint64, losses)
	for cause := range losses {
		lost[cause.String()] = c.lostTables[cause].Load()
	}
	ended := make(map[string]uint64, endKinds)
	for kind := range endKinds {
		ended[kind.String()] = c.endedOf[kind].Load()
	}
	return FollowerStats{
		EventsOf: events, TablesLost: lost, Ended: ended,
		Looks: c.looks.Load(), Events: c.events.Load(), Resets: maps.Clone(c.resets),
		Notifications: c.notifications.Load(), Reconnects: c.reconnects, ReconnectsOf: maps.Clone(c.failures), Working: maps.Clone(c.working), Audits: c.audits.Load(),
		Awake: c.awake.Load(), Sleeper: c.sleeper.Load(), Resting: f.resting.now(), LookBegan: fence.Instant(c.lookBegan.Load()),
		HintsSaid: c.hintsSaid.Load(), HintsHeard: c.hintsHeard.Load(), Relying: f.hints.relied(),
		Outbox: c.outbox, Server: c.server, Written: maps.Clone(c.written), Happened: slices.Clone(c.latest), Position: c.position.Load(), LastError: c.lastError,
		Wanting: wanting,
	}
}
