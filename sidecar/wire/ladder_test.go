package wire

import (
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// laid is a read whose verdict and state are known, with the reasons to pass it through that are
// laid in its way.
type laid struct {
	sql      string
	state    probe.State
	verdict  analysis.Verdict
	obstacle string
	// lay are called when the plan is made.
	lay []func(*staged)
}

// later lays something in the way of the read once its plan is made.
func (l *laid) later(do func(*staged)) { l.lay = append(l.lay, do) }

// rung is a question of the ladder with a reason to pass through.
type rung struct {
	reason string
	// ofPrepared is set if the question concerns only statements that were prepared before, and so
	// no Query.
	ofPrepared bool
	// lay puts the reason in the way.
	lay func(*laid)
}

// rungs are questions of the ladder, in its order.
var rungs = []rung{
	{reason: reasons.Failed, lay: func(l *laid) { l.obstacle = reasons.Failed }},
	{reason: reasons.PortalReused, lay: func(l *laid) { l.later(func(s *staged) { s.plan.refuse(reasons.PortalReused) }) }},
	{reason: reasons.ProbeFailed, lay: func(l *laid) { // Postgres cannot be asked which names stand
		l.later(func(s *staged) {
			s.plan.named = true
			s.pause.begin()
			s.doubtNames()
		})
	}},
	{reason: reasons.AllOff, lay: func(l *laid) { l.later(func(s *staged) { s.db.off.Store(true) }) }},
	{reason: "remembered", lay: func(l *laid) {
		l.later(func(s *staged) {
			s.plan.wants[0].prepared.Statement.Refuse(s.state().ID, s.db.judgements(), "remembered")
		})
	}},
	{reason: reasons.Noticed, lay: func(l *laid) { l.later(func(s *staged) { s.plan.wants[0].prepared.Noticed.Store(true) }) }},
	{reason: string(analysis.ReasonNotSelect), lay: func(l *laid) { l.sql = "DELETE FROM item" }},
	{reason: reasons.Library, lay: func(l *laid) { l.state.Reason = reasons.Library }},
	{reason: reasons.Incarnation, lay: func(l *laid) { l.state.Incarnation = "another" }},
	{reason: reasons.NamedPortal, lay: func(l *laid) {
		l.state.Cursors = probe.SomeCursors
		l.later(func(s *staged) { s.plan.namesPortals = true })
	}},
	{reason: reasons.ParsedUnder, ofPrepared: true, lay: func(l *laid) {
		l.later(func(s *staged) {
			s.plan.wants[0].prepared.Statement.KeepsSettings = true
			s.statements.BeginEpoch()
		})
	}},
	{reason: reasons.Value, lay: func(l *laid) { l.verdict.ParamTypes = []uint32{oidInt4} }},
	{reason: reasons.Revalidated, ofPrepared: true, lay: func(l *laid) { l.later(func(s *staged) { s.plan.wants[0].prepared.Meaning.Store(nil) }) }},
	{reason: reasons.ProbeFailed, ofPrepared: true, lay: func(l *laid) { // Postgres cannot be asked to discard plans
		l.verdict.Filtered = []string{"public.item"}
		l.later(func(s *staged) { s.plannedSince++ })
	}},
	{reason: reasons.SchemaMoving, lay: func(l *laid) { l.later(func(s *staged) { s.talk.Soil() }) }},
}

// doubtNames has Postgres say that it has discarded all, and with that the client's statements.
func (s *staged) doubtNames() {
	s.talk.Owe(conversation.Expectation{Kind: conversation.Query, Harmless: true})
	s.hear("CDISCARD_ALL ZI")
}

// newLadder makes what the ladder looks for answers in, an empty cache, and the cache's fence, whose
// head is from a look that has just begun.
func newLadder(t *testing.T) (*engine.Cache, *fence.Fence) {
	t.Helper()
	f := fence.New(fewSlots)
	cache, err := engine.New(engine.Options{Fence: f, MemoryBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	f.Reset(&fence.Head{Incarnation: "one"}, fence.Snapshot{}, nil, fence.Now())
	return cache, f
}

// climb makes a read a Query or a group, lays reasons in its way, and decides about it.
func climb(t *testing.T, cache *engine.Cache, f *fence.Fence, simple bool, lay ...func(*laid)) (d decision, s *staged) {
	t.Helper()
	l := &laid{sql: "SELECT name FROM item", verdict: analysis.Verdict{Cacheable: true}}
	l.state = probe.State{ID: digest.Of([]byte(t.Name())), Server: probe.Server{Incarnation: "one"}}
	for _, put := range lay {
		put(l)
	}
	s = newStaged(t)
	s.db.cache, s.db.fence = cache, f
	s.known.Note(&l.state)
	s.slotOf(l.sql, &l.verdict)
	unit := msgQuery(l.sql)
	if simple {
		s.planQuery([]byte(l.sql), true)
	} else {
		s.waits = []string{"", ""}
		s.prepare("s", l.sql)
		unit = join(msgBind("s"), msgExecute("", 0), msgSync)
		s.planGroup(unit)
	}
	s.obstacle()
	for _, put := range l.lay {
		put(s)
	}
	s.waits = []string{"E57014 ZI"} // the answer to whichever question the ladder asks Postgres
	return *s.decide(unit, l.obstacle), s
}

// Whichever two questions would stop a read, the ladder gives the reason of the earlier one, for a
// Query and for a group. A read that no question stops is loaded.
func TestLadderGivesItsFirstReason(t *testing.T) {
	t.Parallel()
	for way, simple := range map[string]bool{"a Query": true, "a group": false} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			cache, f := newLadder(t)
			d, s := climb(t, cache, f, simple)
			if c := s.plan.wants[0].capture; d.reason != "" || d.answered || !d.harmless || c == nil {
				t.Errorf("a read that no question stops is decided as %+v, with the capture %v; want it loaded", d, c)
			} else {
				c.Release(nil)
			}
			for i := range rungs {
				if simple && rungs[i].ofPrepared {
					continue
				}
				for j := i; j < len(rungs); j++ {
					if simple && rungs[j].ofPrepared {
						continue
					}
					if d, s := climb(t, cache, f, simple, rungs[j].lay, rungs[i].lay); d.reason != rungs[i].reason || d.answered || s.plan.wants[0].capture != nil {
						t.Errorf("%q (question %d) and %q (question %d) are laid in the way: the reason is %q, want %q; decided is %+v", rungs[i].reason, i, rungs[j].reason, j, d.reason, rungs[i].reason, d)
					}
				}
			}
		})
	}
}
