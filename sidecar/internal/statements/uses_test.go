package statements

import (
	"slices"
	"testing"

	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/digest"
	"github.com/freshet/freshet/sidecar/internal/reasons"
)

// intern parses a text without parameters.
func intern(t *testing.T, s *Set, sql string) *Statement {
	t.Helper()
	statement, ok := s.Intern([]byte(sql + "\x00\x00\x00"))
	if !ok {
		t.Fatalf("%q is not understood", sql)
	}
	return statement
}

const reading, plain = "SELECT '1/2/2024'::date", "SELECT 1"

// TestStatementsAreReadUnderOneEpoch: a statement whose constants a setting may touch is
// relied on in the epoch alone in which Postgres has parsed it and looked at it.
func TestStatementsAreReadUnderOneEpoch(t *testing.T) {
	t.Parallel()
	certain := &Meaning{Generation: 1}
	for name, c := range map[string]struct {
		sql  string
		then func(s *Set, p *Prepared)
		want bool
	}{
		"nothing":                       {reading, func(*Set, *Prepared) {}, true},
		"other settings":                {reading, func(s *Set, _ *Prepared) { s.BeginEpoch() }, false},
		"other settings, plain":         {plain, func(s *Set, _ *Prepared) { s.BeginEpoch() }, true},
		"another look":                  {reading, func(s *Set, p *Prepared) { s.LookedAtUnder(p, certain) }, true},
		"a look that is not certain":    {reading, func(s *Set, p *Prepared) { s.LookedAtUnder(p, nil) }, false},
		"a look under other settings":   {reading, func(s *Set, p *Prepared) { s.BeginEpoch(); s.PlannedUnder(p, certain); s.epoch-- }, false},
		"parsed anew":                   {reading, func(s *Set, p *Prepared) { s.BeginEpoch(); s.Reparse(p, certain) }, true},
		"a text that executes others":   {reading, func(s *Set, _ *Prepared) { s.MayExecuteIn([]byte("Q....EXECUTE p"), true) }, false},
		"a text that executes nothing":  {reading, func(s *Set, _ *Prepared) { s.MayExecuteIn([]byte("Q....SELECT executed"), true) }, true},
		"the beginning of a long text":  {reading, func(s *Set, _ *Prepared) { s.MayExecuteIn([]byte("Q....SELECT"), false) }, false},
		"a statement that was too long": {reading, func(s *Set, _ *Prepared) { s.MayExecute(&Prepared{}) }, false},
		"a statement that executes": {reading, func(s *Set, _ *Prepared) {
			s.MayExecute(&Prepared{Statement: &Statement{SQL: "EXECUTE p"}})
		}, false},
	} {
		var s Set
		s.BeginEpoch()
		p := &Prepared{Statement: intern(t, &s, c.sql)}
		s.Bind("p", p)
		s.ParsedUnder(p, certain)
		c.then(&s, p)
		if s.ReadsNow(p) != c.want || s.MayDiscardPlans() != c.want {
			t.Errorf("%s: Postgres reads it as now: %v, want %v", name, s.ReadsNow(p), c.want)
		}
	}
}

// TestDoubtEndsByAnalysis: what was doubted is relied on once Postgres has analysed it anew, and
// no more if the client may have changed a setting before.
func TestDoubtEndsByAnalysis(t *testing.T) {
	t.Parallel()
	certain := &Meaning{Generation: 1}
	for name, c := range map[string]struct {
		sql              string
		then             func(s *Set, p *Prepared)
		mayRead, discard bool // while in doubt, and with the plans discarded
	}{
		"nothing":                            {reading, func(*Set, *Prepared) {}, true, true},
		"plain":                              {plain, func(*Set, *Prepared) {}, true, true},
		"a look meanwhile":                   {reading, func(s *Set, p *Prepared) { s.LookedAtUnder(p, nil) }, true, true},
		"a look when the settings are known": {reading, func(s *Set, p *Prepared) { s.EndDoubt(); s.LookedAtUnder(p, certain) }, true, true},
		"a look when they are not again":     {reading, func(s *Set, p *Prepared) { s.EndDoubt(); s.LookedAtUnder(p, nil) }, false, false},
		"the client changes a setting":       {reading, func(s *Set, _ *Prepared) { s.MayChange() }, false, false},
		"the settings are others":            {reading, func(s *Set, _ *Prepared) { s.BeginEpoch() }, false, false},
		"parsed meanwhile":                   {reading, func(s *Set, p *Prepared) { s.ParsedUnder(p, nil) }, true, true},
	} {
		var s Set
		s.BeginEpoch()
		p := &Prepared{Statement: intern(t, &s, c.sql)}
		s.Bind("p", p)
		s.ParsedUnder(p, certain)
		s.Doubt()
		c.then(&s, p)
		if s.ReadsNow(p) != (c.sql == plain) || s.MayReadNow(p) != c.mayRead || s.MayDiscardPlans() != c.mayRead {
			t.Errorf("%s: it reads as now: %v, it may: %v, want %v, and plans may be discarded: %v", name, s.ReadsNow(p), s.MayReadNow(p), c.mayRead, s.MayDiscardPlans())
		}
		s.TakeDiscarded()
		if s.ReadsNow(p) != c.discard {
			t.Errorf("%s: with plans discarded it reads as now: %v", name, s.ReadsNow(p))
		}
	}
	var s Set
	s.BeginEpoch()
	p := &Prepared{Statement: intern(t, &s, reading), Parse: []byte("P")}
	s.ParsedUnder(p, certain)
	s.Bind("", p)
	s.Doubt()
	if again := s.Adopt(p, true); again == p || !s.ReadsNow(again) {
		t.Error("an unnamed statement that the client has parsed again is doubted as the one before")
	}
}

// TestUsesArePassedOnOnce: what a statement was used for here is told once, the most of it,
// unless Postgres would take it for something else.
func TestUsesArePassedOnOnce(t *testing.T) {
	t.Parallel()
	now, before := &Meaning{Generation: 2}, &Meaning{Generation: 1}
	for name, c := range map[string]struct {
		name string
		then func(s *Set, p *Prepared)
		want []Use
	}{
		"described":                     {"p", func(s *Set, p *Prepared) { s.NoteUse(p, Described) }, []Use{Described}},
		"executed and described":        {"p", func(s *Set, p *Prepared) { s.NoteUse(p, Executed); s.NoteUse(p, Described) }, []Use{Executed}},
		"used by Postgres since":        {"p", func(s *Set, p *Prepared) { s.NoteUse(p, Executed); s.PlannedUnder(p, now) }, nil},
		"planned, and not changed":      {"p", func(s *Set, p *Prepared) { s.PlannedUnder(p, now); s.NoteUse(p, Executed) }, []Use{Executed}},
		"planned before the schema was": {"p", func(s *Set, p *Prepared) { s.PlannedUnder(p, now); s.NoteUse(p, Executed); p.Meaning.Store(before) }, nil},
		"refused":                       {"p", func(s *Set, p *Prepared) { s.NoteUse(p, Executed); p.Failed.Store(true) }, nil},
		"parsed anew":                   {"p", func(s *Set, p *Prepared) { s.NoteUse(p, Executed); p.Unuse() }, nil},
		"the unnamed one":               {"", func(s *Set, p *Prepared) { s.NoteUse(p, Executed) }, []Use{Executed}},
		"the unnamed one, held back":    {"", func(s *Set, p *Prepared) { s.NoteUse(p, Executed); s.Provide(&Prepared{}) }, nil},
		"the unnamed one, at its end":   {"", func(s *Set, p *Prepared) { s.NoteUse(p, Executed); s.BeginUnit([]byte("Q")) }, nil},
	} {
		var s Set
		p := &Prepared{Statement: intern(t, &s, reading)}
		p.Meaning.Store(now)
		s.Bind(c.name, p)
		c.then(&s, p)
		if !s.SomeUnseen() {
			t.Errorf("%s: nothing was used", name)
		}
		wantUses(t, name, s.TakeUnseen(now), Unseen{Name: c.name, Prepared: p}, c.want)
		if s.SomeUnseen() || len(s.TakeUnseen(now)) > 0 {
			t.Errorf("%s: it is to be shown twice", name)
		}
	}
}

// TestDiscardedPlansAreShown: when Postgres has discarded its plans it is shown as much of
// each statement that settings matter to as it had made of it, or would have by now.
func TestDiscardedPlansAreShown(t *testing.T) {
	t.Parallel()
	now, before := &Meaning{Generation: 2}, &Meaning{Generation: 1}
	for name, c := range map[string]struct {
		sql  string
		then func(s *Set, p *Prepared)
		want []Use
	}{
		"parsed":                        {reading, func(*Set, *Prepared) {}, []Use{Described}},
		"executed here":                 {reading, func(s *Set, p *Prepared) { s.NoteUse(p, Executed) }, []Use{Executed}},
		"planned":                       {reading, func(s *Set, p *Prepared) { s.PlannedUnder(p, now) }, []Use{Executed}},
		"planned before the schema was": {reading, func(s *Set, p *Prepared) { s.PlannedUnder(p, now); p.Meaning.Store(before) }, []Use{Executed}},
		"refused":                       {reading, func(_ *Set, p *Prepared) { p.Failed.Store(true) }, nil},
		"plain":                         {plain, func(s *Set, p *Prepared) { s.PlannedUnder(p, now) }, nil},
	} {
		var s Set
		p := &Prepared{Statement: intern(t, &s, c.sql)}
		p.Meaning.Store(now)
		s.Bind("p", p)
		c.then(&s, p)
		wantUses(t, name, s.TakeDiscarded(), Unseen{Name: "p", Prepared: p}, c.want)
		if s.SomeUnseen() || len(s.TakeUnseen(now)) > 0 {
			t.Errorf("%s: it is to be shown twice", name)
		}
	}
	var unknown Set
	unknown.Bind("p", &Prepared{})
	if unknown.MayDiscardPlans() {
		t.Error("plans may be discarded beside a statement whose text is not known")
	}
}

// wantUses compares what is to be shown with uses of one statement.
func wantUses(t *testing.T, name string, shown []Unseen, of Unseen, want []Use) {
	t.Helper()
	var got []Use
	for _, u := range shown {
		if u.Prepared != of.Prepared || u.Name != of.Name {
			t.Errorf("%s: %q is to be shown", name, u.Name)
		}
		got = append(got, u.Use)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: to be shown are %v, want %v", name, got, want)
	}
}

// TestDescriptionsOfPostgresReplaceOurs: what Postgres says counts, but what it says when
// the sidecar asks only confirms what the client was told.
func TestDescriptionsOfPostgresReplaceOurs(t *testing.T) {
	t.Parallel()
	a, b := digest.Of([]byte("a")), digest.Of([]byte("b"))
	types := []byte{0, 1, 0, 0, 0, 23}
	for name, c := range map[string]struct {
		told   *description.Description
		said   *description.Description
		hidden bool
		want   *description.Description
	}{
		"first":                  {nil, description.New(a, types, true), false, description.New(a, types, true)},
		"first, to the sidecar":  {nil, description.New(a, types, true), true, nil},
		"the same, confirmed":    {description.New(a, types, false), description.New(a, types, true), true, description.New(a, types, true)},
		"another, to us":         {description.New(a, types, false), description.New(b, types, true), true, description.New(a, types, false)},
		"another, to the client": {description.New(a, types, false), description.New(b, nil, true), false, description.New(b, nil, true)},
		"less of the same":       {description.New(a, types, true), description.New(a, nil, true), false, description.New(a, types, true)},
	} {
		p := &Prepared{Parse: []byte("P")}
		p.Told.Store(c.told)
		p.NoteDescription(c.said, c.hidden)
		got := p.Told.Load()
		if got.Key() != c.want.Key() || (got != nil) != (c.want != nil) || got != nil && got.Own != c.want.Own {
			t.Errorf("%s: the client was told %+v, want %+v", name, got, c.want)
		}
		if p.ToldHere() != (got != nil && !got.Own) {
			t.Errorf("%s: told here: %v", name, p.ToldHere())
		}
	}
}

// TestStatementsRememberTheirRefusal: for one state and generation.
func TestStatementsRememberTheirRefusal(t *testing.T) {
	t.Parallel()
	var s Set
	statement := intern(t, &s, plain)
	state := digest.Of([]byte("state"))
	statement.Refuse(state, 1, reasons.Malformed)
	if statement.Refused(state, 1) != reasons.Malformed || statement.Refused(state, 2) != "" || statement.Refused(digest.Digest{}, 1) != "" {
		t.Error("the refusal is not what it was, or holds elsewhere")
	}
	if intern(t, &s, plain) != statement {
		t.Error("a text is not known again")
	}
	for _, body := range []string{"", "SELECT 1", "SELECT 1\x00", "SELECT 1\x00\x00\x01", "SELECT 1\x00\x00\x00x"} {
		if _, ok := s.Intern([]byte(body)); ok {
			t.Errorf("%q is understood", body)
		}
	}
}
