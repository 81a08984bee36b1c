package wire

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// Before a unit is answered or sent, the sidecar asks Postgres, unseen on the session's connection,
// for the state that the plan needs to know, or to analyse statements anew. Where it may not ask, or
// the answer does not help, the reason to pass the unit through says why.
func TestPostgresIsAskedForWhatAPlanNeeds(t *testing.T) {
	t.Parallel()
	state := func(s *staged) []byte { return s.probeQuery(true, s.talk.NamesDoubtful()) }
	discard := msgQuery("DISCARD PLANS; SELECT 1")
	plan := func(s *staged, messages ...[]byte) []byte {
		unit := join(messages...)
		s.statements.BeginUnit(unit)
		s.planGroup(unit)
		return unit
	}
	executing := func(name string) []byte { return join(msgBind(name), msgExecute("", 0), msgSync) }
	doubted := func(s *staged) { s.prepare("d", stagedDated); s.statements.Doubt() }
	unknown := func(s *staged) { s.known.NoteChanged(true) }
	portal := join(binding{portal: "p", statement: "s", values: [][]byte{[]byte("7")}}.message(), msgExecute("p", 0), msgSync)
	for name, test := range map[string]struct {
		given  func(*staged)
		ask    func(*staged) string
		waits  []string
		sent   func(*staged) []byte // nil: nothing is sent
		reason string
		end    string // idle, if empty
	}{
		"a doubted statement is analysed anew, and its Describe is sent": {
			given: doubted,
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
			waits: []string{"CDISCARD_PLANS T D CSELECT_1 ZI"},
			sent:  func(*staged) []byte { return join(discard, msgDescribe('S', "d"), msgSync) }, end: "idle, owes",
		},
		"a doubted statement that was planned is analysed anew, and its Bind is sent": {
			given: func(s *staged) {
				s.statements.PlannedUnder(s.prepare("d", stagedDated), s.meaning())
				s.statements.Doubt()
			},
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
			waits: []string{"CDISCARD_PLANS T D CSELECT_1 ZI"},
			sent:  func(*staged) []byte { return join(discard, msgBind("d"), msgSync) }, end: "idle, owes",
		},
		"a doubted statement whose plans Postgres does not discard": {
			given: doubted,
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
			waits: []string{"E57014 ZI"},
			sent:  func(*staged) []byte { return discard }, reason: reasons.ProbeFailed,
		},
		"a doubted statement in a transaction": {
			given: func(s *staged) { doubted(s); s.inTransaction = true },
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() }, reason: reasons.InTransaction,
		},
		"a statement that was read under other settings": {
			given: func(s *staged) { s.prepare("d", stagedDated); s.statements.BeginEpoch() },
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() }, reason: reasons.ParsedUnder,
		},
		"a statement that was read under the settings of now": {
			given: func(s *staged) { s.prepare("d", stagedDated) },
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
		},
		"a group that uses a name which may have gone": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.query("DISCARD ALL", true))
				s.hear("CDISCARD_ALL ZI")
			},
			ask:   func(s *staged) string { return s.checkNames(plan(s, executing("w"))) },
			waits: []string{"E3F000 ZI"}, sent: state, reason: reasons.ProbeFailed, end: "idle, soiled, names doubtful",
		},
		"a group that uses no name": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				mustSend(s, s.query("DISCARD ALL", true))
				s.hear("CDISCARD_ALL ZI")
			},
			ask: func(s *staged) string { return s.checkNames(plan(s, msgParse("", "SELECT 1"), msgSync)) }, end: "idle, names doubtful",
		},
		"a named portal, while it is not known whether there are cursors": {
			given: (*staged).prepareReadAndWrite,
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() },
			waits: []string{"E3F000 ZI"}, reason: reasons.ProbeFailed, end: "idle, soiled",
			sent: state,
		},
		"a named portal, while there are no cursors": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.known.Note(&probe.State{Cursors: probe.NoCursors}) },
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() },
		},
		"a named portal, while there are cursors": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.known.Note(&probe.State{Cursors: probe.SomeCursors}) },
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() }, reason: reasons.NamedPortal,
		},
		"a named portal that the client has already": {
			given: func(s *staged) {
				s.prepareReadAndWrite()
				s.known.Note(&probe.State{Cursors: probe.NoCursors})
				s.portals.add([]byte("p"), &statements.Statement{}, nil)
			},
			ask: func(s *staged) string { plan(s, portal); return s.askPortals() }, reason: reasons.NamedPortal,
		},
		"a named portal behind reads that are unanswered": {
			given: func(s *staged) { s.prepareReadAndWrite(); s.behind = true },
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() }, reason: reasons.Pipelined,
		},
		"a BEGIN by a named portal may be held back": {
			given: func(s *staged) { s.known.Note(&probe.State{Cursors: probe.NoCursors}) },
			ask: func(s *staged) string {
				c := block.ParseControl("BEGIN")
				if !s.mayHoldAs([]byte("p"), &c) {
					return "it may not be held back"
				}
				return ""
			},
		},
		"a savepoint by a named portal may not be held back": {
			given: func(s *staged) { s.known.Note(&probe.State{Cursors: probe.NoCursors}); s.beginBlock("BEGIN") },
			ask: func(s *staged) string {
				c := block.ParseControl("SAVEPOINT a1")
				if !s.mayHoldAs([]byte("p"), &c) {
					return "it may not be held back"
				}
				return ""
			},
			reason: "it may not be held back", end: "idle, held back",
		},
		"a Parse with a date in it, while the settings are unknown": {
			given: func(s *staged) { s.prepareReadAndWrite(); unknown(s) },
			ask: func(s *staged) string {
				s.beCertain(plan(s, msgParse("", stagedDated), msgSync))
				return ""
			},
			waits: []string{"E3F000 ZI"}, sent: state, end: "idle, soiled",
		},
		"a Parse without constants, while the settings are unknown": {
			given: func(s *staged) { s.prepareReadAndWrite(); unknown(s) },
			ask: func(s *staged) string {
				s.beCertain(plan(s, msgParse("", stagedRead), msgSync))
				return ""
			},
		},
		"the eighth write in a row, and no other of fifteen": {
			given: func(*staged) {},
			ask: func(s *staged) string {
				for n := 1; n < 2*doubtedMax; n++ {
					before := len(s.sent)
					if s.asksBeforeWrite() {
						return "the state is known"
					}
					if asked := len(s.sent) > before; asked != (n == doubtedMax) {
						return fmt.Sprintf("before write %d Postgres is asked: %v", n, asked)
					}
				}
				return ""
			},
			waits: []string{"E3F000 ZI"}, sent: state, end: "idle, soiled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			s.waits = make([]string, 100)
			test.given(s)
			s.sent, s.shown, s.waits = nil, nil, append(test.waits, "")
			reason := test.ask(s)
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
			if len(s.waits) > 1 {
				t.Errorf("the session waited for Postgres %d times fewer than wanted", len(s.waits)-1)
			}
			var want []byte
			if test.sent != nil {
				want = test.sent(s)
			}
			if reason != test.reason || string(s.sent) != string(want) || len(s.shown) > 0 {
				t.Errorf("the reason is %q, want %q; Postgres is sent\n%s, want\n%s; the client is shown %q, want nothing", reason, test.reason, showSent(s.sent), showSent(want), s.shown)
			}
			if got := s.standing(); got != cmp.Or(test.end, "idle") {
				t.Errorf("in the end the session is %s, want %s", got, cmp.Or(test.end, "idle"))
			}
		})
	}
}
