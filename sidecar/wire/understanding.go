package wire

import (
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// understanding is what is known of the state that the client's statements run in, and of what
// they mean in it. It asks nobody and sends nothing: what it does not know, asking has Postgres
// tell it.
//
//   - What it says holds for a message that is sent now, as long as known does.
//   - Whatever may change a setting unseen has known not hold, or an assumption made that a look
//     ends.
type understanding struct {
	db   *database
	talk *conversation.Conversation // which also the goroutine has that reads Postgres
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
