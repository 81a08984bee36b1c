package wire

import (
	"cmp"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// What a plan needs to have known, or to have made anew, Postgres is asked for before the unit goes
// anywhere, on its connection and unseen; and where it may not be asked, the reason says so.
func TestPostgresIsAskedBeforeAUnit(t *testing.T) {
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
		sent   func(*staged) []byte // nothing if nil
		reason string
		end    string // idle, if empty
	}{
		"a doubted statement is analysed anew, and shown its use": {
			given: doubted,
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
			waits: []string{"CDISCARD_PLANS T D CSELECT_1 ZI"},
			sent:  func(*staged) []byte { return join(discard, msgDescribe('S', "d"), msgSync) }, end: "idle, owes",
		},
		"a doubted statement that was planned": {
			given: func(s *staged) {
				s.statements.PlannedUnder(s.prepare("d", stagedDated), s.meaning())
				s.statements.Doubt()
			},
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
			waits: []string{"CDISCARD_PLANS T D CSELECT_1 ZI"},
			sent:  func(*staged) []byte { return join(discard, msgBind("d"), msgSync) }, end: "idle, owes",
		},
		"a doubted statement whose plans stay": {
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
		"a statement that is read as now": {
			given: func(s *staged) { s.prepare("d", stagedDated) },
			ask:   func(s *staged) string { plan(s, executing("d")); return s.readAsNow() },
		},
		"names that may have gone": {
			given: func(s *staged) { s.prepared(); mustSend(s, s.query("DISCARD ALL", true)); s.hear("CDISCARD_ALL ZI") },
			ask:   func(s *staged) string { return s.checkNames(plan(s, executing("w"))) },
			waits: []string{"E3F000 ZI"}, sent: state, reason: reasons.ProbeFailed, end: "idle, soiled, names doubtful",
		},
		"names that nobody uses": {
			given: func(s *staged) { s.prepared(); mustSend(s, s.query("DISCARD ALL", true)); s.hear("CDISCARD_ALL ZI") },
			ask:   func(s *staged) string { return s.checkNames(plan(s, msgParse("", "SELECT 1"), msgSync)) }, end: "idle, names doubtful",
		},
		"cursors that may have a portal's name": {
			given: (*staged).prepared,
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() },
			waits: []string{"E3F000 ZI"}, reason: reasons.ProbeFailed, end: "idle, soiled",
			sent: state,
		},
		"cursors of which there are none": {
			given: func(s *staged) { s.prepared(); s.known.Note(&probe.State{Cursors: probe.NoCursors}) },
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() },
		},
		"cursors of which there are some": {
			given: func(s *staged) { s.prepared(); s.known.Note(&probe.State{Cursors: probe.SomeCursors}) },
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() }, reason: reasons.NamedPortal,
		},
		"a portal that the client has": {
			given: func(s *staged) {
				s.prepared()
				s.known.Note(&probe.State{Cursors: probe.NoCursors})
				s.portals.add([]byte("p"), &statements.Statement{}, nil)
			},
			ask: func(s *staged) string { plan(s, portal); return s.askPortals() }, reason: reasons.NamedPortal,
		},
		"cursors, behind reads that are unanswered": {
			given: func(s *staged) { s.prepared(); s.behind = true },
			ask:   func(s *staged) string { plan(s, portal); return s.askPortals() }, reason: reasons.Pipelined,
		},
		"a BEGIN by a portal": {
			given: func(s *staged) { s.known.Note(&probe.State{Cursors: probe.NoCursors}) },
			ask: func(s *staged) string {
				c := block.ParseControl("BEGIN")
				if !s.mayHoldAs([]byte("p"), &c) {
					return "it may not be held back"
				}
				return ""
			},
		},
		"a savepoint by a portal": {
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
		"the settings that a date is parsed under": {
			given: func(s *staged) { s.prepared(); unknown(s) },
			ask: func(s *staged) string {
				s.beCertain(plan(s, msgParse("", stagedDated), msgSync))
				return ""
			},
			waits: []string{"E3F000 ZI"}, sent: state, end: "idle, soiled",
		},
		"the settings that nothing depends on": {
			given: func(s *staged) { s.prepared(); unknown(s) },
			ask: func(s *staged) string {
				s.beCertain(plan(s, msgParse("", stagedRead), msgSync))
				return ""
			},
		},
		"the settings before the eighth write in a row": {
			given: func(s *staged) { s.doubted = doubtedMax - 2 },
			ask: func(s *staged) string {
				for range 2 {
					if s.asksBeforeWrite() {
						return "the state is known"
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
				t.Error("Postgres is not waited for")
			}
			var want []byte
			if test.sent != nil {
				want = test.sent(s)
			}
			if reason != test.reason || string(s.sent) != string(want) || len(s.shown) > 0 {
				t.Errorf("%q, want %q; sent is\n%s, want\n%s; shown is %q", reason, test.reason, showSent(s.sent), showSent(want), s.shown)
			}
			if got := s.standing(); got != cmp.Or(test.end, "idle") {
				t.Errorf("in the end %s, want %s", got, cmp.Or(test.end, "idle"))
			}
		})
	}
}
