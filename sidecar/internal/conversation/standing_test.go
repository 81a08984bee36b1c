package conversation

import (
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// What stands in the way of an answer from the cache, and what is certain of a message
// that is sent.
func TestStanding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script  string
		reason  string
		certain bool
	}{
		"nothing was said":                   {"", "", true},
		"all is answered":                    {"+Q.n Cf ZIf", "", true},
		"something may have changed":         {"+Q Cf ZIf", "", false},
		"a query is under way":               {"+Q.n Cf", reasons.Pipelined, false},
		"a question is":                      {"+R", reasons.Pipelined, false},
		"a Sync of the sidecar's is":         {"+S.hn", reasons.Pipelined, false},
		"in a transaction that has read":     {"+Q.n Cf ZTf", "", true},
		"in one that may have done more":     {"+Q Cf ZTf", reasons.InTransaction, false},
		"behind one that may have done more": {"+Q Cf ZTf +Q.n Cf ZIf", "", false},
		"in a failed one":                    {"+Q.n Ef ZEf", reasons.Failed, true},
		"in a block that failed":             {"+Q.nb Ef ZIf", reasons.Failed, true},
		"in a block":                         {"+Q.nb Cf ZIf", "", true},
		"a block was not opened":             {"+O +Q.n +S.hn Ef ZIf", reasons.Failed, true},
		"a part is answered":                 {"+P +_.n 1f", "", true},
		"a part is under way":                {"+P +_.n", reasons.OpenGroup, false},
		"a part may have changed something":  {"+B +E +_ 2f Cf", reasons.OpenGroup, false},
		"a part has failed":                  {"+P +_.n Ef", reasons.OpenGroup, false},
		"its Sync came":                      {"+B +_.n Ef +S.n ZIf", "", true},
		"what was skipped is not taken back": {"+P +_.n Ef +S.n ZIf", reasons.Pipelined, true},
		"data are copied":                    {"+B +E +_ 2f Gf", reasons.OpenGroup, false},
		"nobody understands what was said":   {"+P 3f", reasons.Confused, false},
		"a setting has changed":              {"Sf", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{Conversation: talking(), t: t}
			s.play(c.script)
			if got := s.Certain(); got != c.certain {
				t.Errorf("%s: certain: %v, want %v", c.script, got, c.certain)
			}
			if got := standingOf(s); got.Reason != c.reason || got.Reason == "" && got.Dirty != s.dirty {
				t.Errorf("%s: stands %+v, want %q", c.script, got, c.reason)
			}
		})
	}
}

// What Postgres has shown the client is told of once; a part of a group that goes on may
// Show more at any time.
func TestShownIsToldOfOnce(t *testing.T) {
	t.Parallel()
	s := &script{Conversation: talking(), t: t}
	for _, c := range []struct {
		script string
		shown  bool
	}{
		{"", false},
		{"+Q Cf ZIf", true},
		{"", false},
		{"+R Th Dh Ch ZIh", false},
		{"+Q.nk Tf Cf ZIf", false}, // of which the session knows from the capture
		{"+P +_.n 1f", true},
		{"", true},
		{"+S.n ZIf", true},
		{"", false},
	} {
		s.play(c.script)
		if got := standingOf(s).ShownBy != 0; got != c.shown {
			t.Errorf("behind %q shown is %v, want %v", c.script, got, c.shown)
		}
	}
}

// What Postgres has shown counts from when it was heard, not from when somebody asks.
func TestShownCountsFromWhenItWasHeard(t *testing.T) {
	t.Parallel()
	s := &script{Conversation: talking(), t: t}
	before := fence.Now()
	s.play("+Q Cf ZIf")
	behind := fence.Now()
	if got := standingOf(s).ShownBy; got < before || got > behind {
		t.Errorf("shown by %d, want it from %d to %d", got, before, behind)
	}
	s.play("+P +_.n 1f")
	before = fence.Now()
	if got := standingOf(s).ShownBy; got < before {
		t.Errorf("a part of a group that goes on has shown all by %d, want it from %d on", got, before)
	}
}

// The settings count as known when nothing has soiled them since they were asked for.
func TestProbeBetweenChanges(t *testing.T) {
	t.Parallel()
	c := talking()
	changes := standingOf(c).Changes
	c.Soil()
	if c.Clean() || !c.ChangedSince(changes) {
		t.Error("a change leaves the settings known")
	}
	c.BeginProbe()
	if !c.Clean() {
		t.Error("what was before the probe counts behind it")
	}
	c.Soil()
	if c.Clean() {
		t.Error("a change while the probe runs is lost")
	}
	c.BeginProbe()
	c.FailProbe()
	if c.Clean() || standingOf(c).Changes != changes+2 {
		t.Error("a probe that fails leaves the settings known, or counts as a change")
	}
}

// What becomes known of a prepared statement by the answers to its messages.
func TestStatementIsAccepted(t *testing.T) {
	t.Parallel()
	under := &statements.Meaning{Generation: 1}
	for name, c := range map[string]struct {
		due                       Expectation
		script                    string
		accepted, failed, noticed bool
		means                     bool
	}{
		"a Parse":             {Expectation{Kind: Parse}, "1f", true, false, false, true},
		"a Parse that fails":  {Expectation{Kind: Parse}, "Ef", false, false, false, false},
		"the unnamed one's":   {Expectation{Kind: Parse, Change: &statements.Change{}}, "Ef", false, true, false, false},
		"with a notice":       {Expectation{Kind: Parse}, "Nf 1f", true, false, true, true},
		"a Bind":              {Expectation{Kind: Bind}, "2f", false, false, false, true},
		"a Bind that fails":   {Expectation{Kind: Bind}, "Ef", false, false, false, false},
		"a Bind and a notice": {Expectation{Kind: Bind}, "Nf 2f", false, false, true, true},
		"of another message":  {Expectation{Kind: Bind}, "1f", false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{Conversation: talking(), t: t}
			p := &statements.Prepared{}
			e := c.due
			e.Prepared, e.Meaning = p, under
			s.Owe(e)
			s.play(c.script)
			if p.Accepted.Load() != c.accepted || p.Failed.Load() != c.failed || p.Noticed.Load() != c.noticed || (p.Meaning.Load() == under) != c.means {
				t.Errorf("accepted %v, failed %v, noticed %v, under %v", p.Accepted.Load(), p.Failed.Load(), p.Noticed.Load(), p.Meaning.Load())
			}
		})
	}
}

// A question's answer is its row, nothing if it failed, whatever was asked before.
func TestQuestionFindsItsRow(t *testing.T) {
	t.Parallel()
	s := &script{Conversation: talking(), t: t}
	for words, found := range map[string]bool{"+R Th Dh Ch ZIh": true, "+R Th Ch ZIh": false, "+R Eh ZIh": false, "+R Th Dh Eh ZIh": false} {
		s.play(words)
		if row, err := s.AwaitRow(); (row != nil) != found || err != nil {
			t.Errorf("%s: found %v, %v", words, row, err)
		}
	}
}

// A question that goes along with a load tells of its row before the load has ended, hides what
// becomes of it, and costs the load nothing if it fails.
func TestLookupIsHeardBeforeItsLoad(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"+l +Q.nk Th Dh Ch ZIh Tf Df Cf ZIf":                 "+ k I",
		"+l +Q.nk Eh ZIh Tf Df Cf ZIf":                       "- k I",
		"+l +Q.nk Th Ch ZIh Tf Df Cf ZIf":                    "- k I",
		"+l +B +E.k +S.n Th Dh Ch ZIh 2f Df Cf ZIf":          "+ k I",
		"+l +B +E.k +S.n Eh ZIh 2f Ef ZIf":                   "-  I", // nothing has ended that could be kept
		"+Q.n Cf ZIf +l +Q.nk Th Dh Eh ZIh Tf Df Cf ZIf":     "- k II",
		"+l +Q.nk Th Dh Ch ZIh +R Tf Df Cf ZIf Th Dh Ch ZIh": "+ k I",
	} {
		s := &script{Conversation: talking(), t: t}
		s.play(words)
		if got := s.found + " " + s.ended + " " + s.seen; got != want || s.mistrusted || s.pending.len() > 0 {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}

// How long Postgres took is noted of a unit that is answered, once.
func TestTimeOfAUnit(t *testing.T) {
	t.Parallel()
	for words, timed := range map[string]bool{
		"+Q.n Cf ZIf": true, "+Q.n Ef ZIf": false, "+Q.n Cf": false, "+R Th Dh Ch ZIh +Q.n Cf ZIf": true, "+Q.hn Ch ZIh": false,
		"+B +E +S.n 2f Cf ZIf": true, "+B +E +S.n Ef ZIf": false,
	} {
		s := &script{Conversation: talking(), t: t}
		var took shapes.Average
		s.Time(&took)
		s.play(words)
		if (took.Get() != 0) != timed {
			t.Errorf("%s: took %v", words, took.Get())
		}
	}
}

func TestReadyForQueryOfNobodysFormat(t *testing.T) {
	t.Parallel()
	c := talking()
	c.OweUnit(Expectation{Kind: Query})
	if c.hear('Z', []byte{protocol.StatusIdle, protocol.StatusIdle}); !c.mistrusted {
		t.Error("a status of two bytes is understood")
	}
}

// A Sync that nothing was executed before shows nothing, unless a part of its group did.
func TestSyncBehindAPartThatHasShown(t *testing.T) {
	t.Parallel()
	for _, shows := range []bool{false, true} {
		s := &script{Conversation: talking(), t: t}
		s.play("+B +E")
		s.LeaveOpen(true, shows)
		s.play("2f Cf")
		s.OweUnit(Expectation{Kind: Sync, Harmless: true, ShowsNothing: true})
		s.play("ZIf")
		if got := standingOf(s).ShownBy != 0; got != shows {
			t.Errorf("the part has shown rows: %v, and what follows is to be as new: %v", shows, got)
		}
	}
}

// standingOf is how things stand.
func standingOf(of interface{ Stand(*Standing) }) (now Standing) {
	of.Stand(&now)
	return now
}
