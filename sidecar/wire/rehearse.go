package wire

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// A transaction may be given a role, a search path and settings of the application's before
// its first read: PostgREST does that in one SELECT of many set_config. Held back with the
// BEGIN, they have to be known to be such as Postgres accepts, and it has to be known what
// state the session is in with them. Postgres itself says both: the statements are rehearsed.
// In one message, and so in a transaction of its own that ends with it, the session's
// Postgres is given the settings of the block, and asked for its state. They are gone then,
// and nothing of it is seen. The message is the sidecar's own: if it fails, the client's
// statement goes to Postgres as it came, and fails there.
//
// What was rehearsed holds as long as what the last probe found: whatever may change what a
// role may do, or what a search path leads to, has the session probed anew, and then the
// settings are rehearsed anew, too. A setting of the application's own is rehearsed for its
// name, since every text is a value of it; others for their value.
//
// A rehearsal leaves one trace, which the transaction would leave as well: an application's
// setting that had no value is the empty text behind it.
//
//  1. BEGIN, SET LOCAL ROLE tenant, and a read are answered here;
//  2. the role loses its rights, or its search path leads elsewhere; the event is received;
//  3. a second read in the block would be judged by what was rehearsed before 2.
//
// The event of 2 soils the session, so 3 has it probed, and the block rehearsed, first.
// Forced by TestRehearsalEndsWithTheRightsOfItsRole.

// rehearsedMax bounds what a session keeps of its rehearsals. Beyond it all is forgotten.
const rehearsedMax = 64

// rehearsals are what a session knows of settings of transactions. They belong to the
// goroutine that reads the client.
type rehearsals struct {
	// states are by what a block changes (block.Changes): the state that the session is in
	// then, nil if Postgres refuses the settings, or if they show the client something else
	// than an answer. adopt resets them.
	states map[string]*probe.State
	// calls is set if set_config is known to be Postgres' own, by what the block changes before
	// it is called. adopt resets it.
	calls map[string]bool
}

func (r *rehearsals) note(changes string, state *probe.State) {
	if r.states == nil || len(r.states) >= rehearsedMax {
		r.states = map[string]*probe.State{}
	}
	r.states[changes] = state
}

func (r *rehearsals) noteCalls(changes string) {
	if r.calls == nil || len(r.calls) >= rehearsedMax {
		r.calls = map[string]bool{}
	}
	r.calls[changes] = true
}

// besidesSQL is what a client may be told of a change of settings without asking, and how
// many functions set_config may mean.
const besidesSQL = `SELECT pg_catalog.current_setting('is_superuser'),
	CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 180000 THEN pg_catalog.current_setting('search_path') END,
	(SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc WHERE proname OPERATOR(pg_catalog.=) 'set_config')`

// rehearsal is what a rehearsal found.
type rehearsal struct {
	state *probe.State
	// shown are the values that the last statement shows, calls is set if set_config is
	// Postgres' own.
	shown [][]byte
	calls bool
}

// mayRehearse reports whether Postgres can be asked what comes of settings, and the state
// outside of the transaction is known.
func (a *asking) mayRehearse() bool {
	if !a.mayProbe() || a.talk.FailedBlock() || a.known.Base() == nil {
		return false
	}
	if !a.known.BaseHolds() && a.refreshState() != "" {
		return false
	}
	base := a.known.Base()
	return base.Standby == "" && base.Reason == "" && a.sameServer()
}

// rehearse has Postgres perform statements that set something, the last of which shows
// columns of values, and says what comes of it: ok is false if they are not to be held back.
func (a *asking) rehearse(settings []string, columns int) (found rehearsal, ok bool) {
	question := probe.Question{Role: a.db.follower.State().Secured()}.Message()
	text := besidesSQL + "; " + strings.Join(settings, "; ") + "; " + besidesSQL + "; " + string(question[protocol.HeaderLength:])
	a.talk.OweRows()
	a.statements.SimpleQuery(statements.AskedHere)
	a.db.counters.UpstreamProbes.Add(1)
	if a.sendUpstream(protocol.AppendMessage(nil, 'Q', []byte(text))) != nil || a.flushUpstream() != nil {
		return rehearsal{}, false
	}
	rows, err := a.talk.AwaitRows()
	n := len(rows)
	if err != nil || n < 3 {
		return rehearsal{}, false
	}
	a.values.place(a.block.Names(), true)
	before, ok1 := protocol.DataRow(rows[0])
	behind, ok2 := protocol.DataRow(rows[n-2])
	if !ok1 || !ok2 || !slices.EqualFunc(before, behind, slices.Equal[[]byte]) || len(before) != 3 {
		return rehearsal{}, false
	}
	found.calls = string(behind[2]) == "1"
	if columns > 0 {
		if found.shown, ok = protocol.DataRow(rows[n-3]); !ok || len(found.shown) != columns {
			return rehearsal{}, false
		}
	}
	base := a.known.Base()
	if found.state = probe.ParseAnswer(rows[n-1], base); found.state == nil || found.state.ParseTime != base.ParseTime {
		return rehearsal{}, false
	}
	found.state.Continue(base)
	if a.talk.LoadedLibrary() {
		found.state.Refuse(reasons.Library)
	}
	return found, true
}

// noteLocal makes the session's state what the settings of its block make it, as far as that
// was rehearsed.
func (a *asking) noteLocal() {
	if changes := a.block.Changes(); changes == "" {
		a.known.EndLocal()
	} else {
		a.known.NoteLocal(a.rehearsed.states[changes])
		a.timeIdleness(a.known.State())
	}
}

// renewLocal rehearses the settings of the block again, behind a probe that has found
// another state. It says why the state is not known.
func (a *asking) renewLocal() string {
	if !a.known.Lacks() {
		return ""
	}
	if !a.block.Held || !a.mayRehearse() {
		return reasons.ProbeFailed
	}
	changes := a.block.Changes()
	if _, tried := a.rehearsed.states[changes]; !tried {
		found, _ := a.rehearse(a.block.Settings(), 0)
		a.rehearsed.note(changes, found.state)
	}
	if a.noteLocal(); a.known.Lacks() {
		return reasons.ProbeFailed
	}
	return ""
}
