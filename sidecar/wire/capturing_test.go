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

// A load is captured under its label, with the terms of its request, if the session's settings, the
// schema, the role and the plan are still the known ones when the load is sent. Otherwise it is not
// captured, and the capture that was to be used is left as it was.
func TestLoadsAreCapturedUnderTheirLabels(t *testing.T) {
	t.Parallel()
	cache, f := newLadder(t)
	for name, test := range map[string]struct {
		// change happens between the label and the load.
		change  func(*staged, *request)
		refused bool
		// also, unless nil, reports whether the capture has the terms that it is to have.
		also func(*staged, *answer.Capture) bool
	}{
		"nothing is in the way": {also: func(_ *staged, c *answer.Capture) bool {
			return c.SizeMax == cache.EntryMax() && c.Life == 0 && !c.Consent && !c.ByRule && !c.Assumed && c.Certain == nil
		}},
		"the session's settings may have changed": {change: func(s *staged, _ *request) { s.talk.Soil() }, refused: true},
		"the schema has changed":                  {change: func(s *staged, _ *request) { s.db.verdicts.SchemaChanged() }, refused: true},
		"the follower does not know the role":     {change: func(s *staged, _ *request) { s.db.follower = strangersFollower{} }, refused: true},
		"row security matters, and Postgres' plan is older than the verdict": {
			change: func(s *staged, r *request) { r.prepared, s.plannedSince = true, s.plannedSince+1 }, refused: true,
		},
		"row security matters, and Postgres has no plan": {change: func(s *staged, _ *request) { s.plannedSince++ }},
		"a rule bounds the size": {
			change: func(_ *staged, r *request) { r.terms = &rules.Judged{Terms: rules.Terms{EntryMax: 10}} },
			also:   func(_ *staged, c *answer.Capture) bool { return c.SizeMax == 10 },
		},
		"a rule allows a larger size than the cache": {
			change: func(_ *staged, r *request) { r.terms = &rules.Judged{Terms: rules.Terms{EntryMax: 1 << 30}} },
			also:   func(_ *staged, c *answer.Capture) bool { return c.SizeMax == cache.EntryMax() },
		},
		"the statement's comment accepts an outdated answer": {
			change: func(_ *staged, r *request) { r.life, r.consent = time.Second, byComment },
			also:   func(_ *staged, c *answer.Capture) bool { return c.Life == time.Second && c.Consent && !c.ByRule },
		},
		"a rule accepts an outdated answer": {
			change: func(_ *staged, r *request) { r.life, r.consent = time.Second, byRule },
			also:   func(_ *staged, c *answer.Capture) bool { return c.Life == time.Second && c.Consent && c.ByRule },
		},
		"the session's settings are assumed to be unchanged": {
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
				t.Fatal("the load gets no label")
			}
			if test.change != nil {
				test.change(s, &r)
			}
			loading := &answer.Capture{}
			c := s.beginCapture(&r, start, loading)
			if c == nil != test.refused {
				t.Fatalf("the load is captured: %v, want %v", c != nil, !test.refused)
			}
			switch {
			case test.refused:
				if loading.Key != nil || loading.Start.At != 0 {
					t.Errorf("a load that is refused has changed the capture to %+v", loading)
				}
			case c != loading || string(c.Key) != string(s.key) || c.Start.At != start.At || c.Shape != slot.Shape:
				t.Errorf("the load is captured as %+v, want the key %q, the label of %v and the shape %v", c, s.key, start.At, slot.Shape)
			case test.also != nil && !test.also(s, c):
				t.Errorf("the load is captured as %+v, without the terms of its request", c)
			}
		})
	}
}

// A load gets the label of the follower's head only if the session's connection leads to the server
// that the follower follows.
func TestLoadIsLabelledOnlyOnTheFollowedServer(t *testing.T) {
	t.Parallel()
	cache, f := newLadder(t)
	for incarnation, want := range map[fence.Incarnation]bool{"one": true, "another": false} {
		s := newStaged(t)
		s.db.cache, s.db.fence = cache, f
		s.known.Note(&probe.State{Server: probe.Server{Incarnation: incarnation}})
		if start, ok := s.label(); ok != want || start.Label.Incarnation != "one" {
			t.Errorf("on the server %s the load is labelled: %v, as %+v; want %v, and the label of the server one", incarnation, ok, start, want)
		}
	}
}
