package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// downstream is what the goroutine of a session has that reads the client, for itself.
type downstream struct {
	understanding
	cachedReads
	// plan is that of the unit at hand, key that of the want that is looked up, and hash the
	// key's, set by lookup and peek. absent is set by lookup if nothing lies there, and reset
	// for the next unit.
	plan   plan
	key    []byte
	hash   uint64
	absent bool
	// rest is the last statement of a Query of several, as a Query of its own: see
	// handleSeveral, which sets it.
	rest []byte
	// room is for what is made of the plan's values. judge and understood empty it.
	room room
	// portals are the client's that Postgres has not.
	portals portals
	// ahead is what was answered of a group whose Sync has not come.
	ahead ahead
	// performed is the tag of the control statement that was performed last.
	performed string
	// openers is room for the statements that begin a block, of openAlong.
	openers []string
	// opening is set when the BEGIN of a block was sent together with a statement,
	// and may not have succeeded yet.
	opening bool
	// hits are those whose answers are not written yet.
	hits hits
	// untilVerified is how many hits there are to the next that is to be verified.
	untilVerified countdown
}

// understanding is what is known of the state that the client's statements run in, and of what
// they mean in it. It asks nobody, and sends nothing: what it does not know it says so of, and
// asking has Postgres tell it.
//
//   - What it says holds for a message that is sent now, as long as known does.
//   - Whatever may change a setting unseen has known not hold, or an assumption made that a look
//     ends.
type understanding struct {
	server *Server
	talk   *conversation.Conversation // which also the goroutine has that reads Postgres
	// statements are the client's prepared ones.
	statements statements.Set
	// block is the transaction whose BEGIN is held back.
	block block.Block
	// inTransaction is set by obstacle if Postgres is in a transaction block.
	inTransaction bool
	// behind is set while decide asks about a plan that comes behind reads which are unanswered:
	// nobody is asked for it and it is not served, but captured.
	behind bool
	// known is what was found out when they were asked for last.
	known probe.Known
	// values are of the settings of the application's own.
	values localValues
	// rehearsed is what known says of transactions is made of.
	rehearsed rehearsals
	// assumption is what known is relied on for: see understood.go.
	assumption assumption
	// doubted is how many writes were not understood for want of the state alone: see
	// asksBeforeWrite.
	doubted int
	// namesPortals is set, for good, when the client has named a portal that could be answered:
	// then probes ask for cursors.
	namesPortals bool
	// pause is the wait after a failed probe, told what was made of the demands found.
	pause probePause
	told  toldDemands
	// meant is the last result of meaning.
	meant *statements.Meaning
	// plannedSince is a schema generation: every plan that Postgres keeps for this session
	// is no older. run sets it, and renewPlans when Postgres has discarded its plans.
	plannedSince uint64
}

// state is what the client's next statement runs in, nil before the first probe. While known
// does not hold, it is an estimate.
func (u *understanding) state() *probe.State { return u.known.State() }

// servable reports whether a read may be answered without asking anybody first.
func (u *understanding) servable() bool { return u.known.Holds() && u.state().Reason == "" }

// plannedBefore reports whether Postgres may answer by a plan that it made before
// what the verdict knows.
func (u *understanding) plannedBefore(r *request) bool {
	return r.prepared && r.secured() && u.plannedSince != r.slot.Generation
}

// cachedReads is what the client's reads from the cache are to show, and what they cost.
type cachedReads struct {
	reads fence.Session
	// shownBy is set by obstacle if Postgres has answered the client since its last cached
	// read, to a moment behind the answer. The next one calls reads.Received with it first,
	// so that it is no older than that answer, and resets it: see beginRead. A look that began
	// on the answer's way to the client, and the read's way here, is new enough.
	shownBy fence.Instant
	// reading counts the reads between two changes. changesSeen is the number of changes
	// (conversation.Standing) as of when nothing was owed last.
	reading     readRun
	changesSeen uint64
}
