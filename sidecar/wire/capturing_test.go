package wire

import (
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/answer"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/rules"
)

// strangersFollower knows no role.
type strangersFollower struct{ idleFollower }

func (strangersFollower) KnowsRole(uint32) bool { return false }

// A load is captured under its label where what is known then holds for what Postgres is to
// answer, with what its request says of it. Otherwise nothing is, and the capture is as it was.
func TestLoadsAreCapturedUnderTheirLabels(t *testing.T) {
	t.Parallel()
	cache, f := newLadder(t)
	for name, test := range map[string]struct {
		change  func(*staged, *request)
		refused bool
		also    func(*staged, *answer.Capture) bool
	}{
		"nothing is in the way": {also: func(_ *staged, c *answer.Capture) bool {
			return c.SizeMax == cache.EntryMax() && c.Life == 0 && !c.Consent && !c.ByRule && !c.Assumed && c.Certain == nil
		}},
		"the session may be another": {change: func(s *staged, _ *request) { s.talk.Soil() }, refused: true},
		"the schema has changed":     {change: func(s *staged, _ *request) { s.db.verdicts.SchemaChanged() }, refused: true},
		"the role is a stranger":     {change: func(s *staged, _ *request) { s.db.follower = strangersFollower{} }, refused: true},
		"the plan is older, and row security matters": {
			change: func(s *staged, r *request) { r.prepared, s.plannedSince = true, s.plannedSince+1 }, refused: true,
		},
		"row security matters, and there is no plan": {change: func(s *staged, _ *request) { s.plannedSince++ }},
		"a rule says how large it may be": {
			change: func(_ *staged, r *request) { r.terms = &rules.Judged{Terms: rules.Terms{EntryMax: 10}} },
			also:   func(_ *staged, c *answer.Capture) bool { return c.SizeMax == 10 },
		},
		"a rule allows more than is kept": {
			change: func(_ *staged, r *request) { r.terms = &rules.Judged{Terms: rules.Terms{EntryMax: 1 << 30}} },
			also:   func(_ *staged, c *answer.Capture) bool { return c.SizeMax == cache.EntryMax() },
		},
		"its text accepts an older answer": {
			change: func(_ *staged, r *request) { r.life, r.consent = time.Second, byComment },
			also:   func(_ *staged, c *answer.Capture) bool { return c.Life == time.Second && c.Consent && !c.ByRule },
		},
		"a rule accepts an older answer": {
			change: func(_ *staged, r *request) { r.life, r.consent = time.Second, byRule },
			also:   func(_ *staged, c *answer.Capture) bool { return c.Life == time.Second && c.Consent && c.ByRule },
		},
		"the session assumes what a look has yet to find out": {
			change: func(s *staged, _ *request) { s.assume(s.db.verdicts.Generation()) },
			also: func(s *staged, c *answer.Capture) bool {
				return c.Assumed && c.Generation == s.db.verdicts.Generation()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStaged(t)
			s.db.cache, s.db.fence = cache, f
			s.known.Note(&probe.State{ID: digest.Of([]byte(name)), Server: probe.Server{Incarnation: "one"}})
			slot := s.slotOf("SELECT name FROM item", &analysis.Verdict{Cacheable: true, Filtered: []string{"public.item"}})
			r := request{slot: slot, terms: &rules.Judged{}}
			s.plannedSince = slot.Generation
			s.keyOfQuery([]byte("SELECT name FROM item"))
			start, ok := s.label()
			if !ok {
				t.Fatal("there is no label")
			}
			if test.change != nil {
				test.change(s, &r)
			}
			loading := &answer.Capture{}
			c := s.beginCapture(&r, start, loading)
			if c == nil != test.refused {
				t.Fatalf("it is captured: %v", c != nil)
			}
			switch {
			case test.refused:
				if loading.Key != nil || loading.Start.At != 0 {
					t.Errorf("the capture has become %+v", loading)
				}
			case c != loading || string(c.Key) != string(s.key) || c.Start.At != start.At || c.Shape != slot.Shape:
				t.Errorf("it is captured as %+v", c)
			case test.also != nil && !test.also(s, c):
				t.Errorf("it is captured as %+v", c)
			}
		})
	}
}

// A label is that of the head, where the session's connection leads to the server that the follower
// looks at.
func TestLabelIsOfTheSessionsServer(t *testing.T) {
	t.Parallel()
	cache, f := newLadder(t)
	for incarnation, want := range map[fence.Incarnation]bool{"one": true, "another": false} {
		s := newStaged(t)
		s.db.cache, s.db.fence = cache, f
		s.known.Note(&probe.State{Server: probe.Server{Incarnation: incarnation}})
		if start, ok := s.label(); ok != want || start.Label.Incarnation != "one" {
			t.Errorf("%s: labelled %v as %+v", incarnation, ok, start)
		}
	}
}
