package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// newUnderstanding makes an understanding as it is behind the first probe, without a session.
func newUnderstanding() *understanding {
	u := &understanding{db: &database{verdicts: shapes.NewBook(anyAnalyzer{}, nil), follower: idleFollower{}}, talk: conversation.New()}
	u.talk.Begin('I')
	u.known.Note(&probe.State{})
	return u
}

// An understanding knows by itself, without asking, whether the sidecar may ask Postgres a question of
// its own, and gives the reason if it may not.
func TestUnderstandingSaysWhetherPostgresMayBeAsked(t *testing.T) {
	t.Parallel()
	p := &statements.Prepared{} // a statement without its text, which was too long to be kept
	for name, test := range map[string]struct {
		change func(*understanding)
		reason string
	}{
		"nothing goes on":      {func(*understanding) {}, ""},
		"behind reads":         {func(u *understanding) { u.behind = true }, reasons.Pipelined},
		"a group is open":      {func(u *understanding) { u.talk.LeaveOpen(true, false) }, reasons.OpenGroup},
		"in a transaction":     {func(u *understanding) { u.inTransaction = true }, reasons.InTransaction},
		"an unnamed long text": {func(u *understanding) { u.statements.Assign("", p); u.statements.Provide(p) }, reasons.TooLong},
	} {
		u := newUnderstanding()
		test.change(u)
		if got := u.askable(); got != test.reason {
			t.Errorf("%s: the reason not to ask is %q, want %q", name, got, test.reason)
		}
	}
}

// The value of a setting that is part of a key is known from a probe, and is unknown if no probe has
// asked for it or if the transaction may have set it. A key without such settings needs no value.
func TestKeyedSettingIsUnknownWhereATransactionMayHaveSetIt(t *testing.T) {
	t.Parallel()
	u := newUnderstanding()
	if _, known := u.keyedValue("app.tenant"); known {
		t.Error("the value of app.tenant is known before a probe has asked for it, want unknown")
	}
	u.known.Note(&probe.State{Keyed: map[string][]byte{"app.tenant": []byte("a"), "app.none": nil}})
	for name, want := range map[string]string{"app.tenant": "a", "app.none": ""} {
		if value, known := u.keyedValue(name); !known || string(value) != want {
			t.Errorf("behind a probe %s is %q, known %v, want %q, known", name, value, known, want)
		}
	}
	u.values.place([]string{"app.none"}, false)
	if _, known := u.keyedValue("app.none"); known {
		t.Error("the value of app.none is known though the transaction may have set it, want unknown")
	}
	u.values.unknown = true
	if _, known := u.stateWith([]string{"app.tenant"}); known {
		t.Error("the value of app.tenant is known though the transaction may have set any, want unknown")
	}
	if id, known := u.stateWith(nil); !known || id != u.state().ID {
		t.Errorf("the state without keyed settings is %v, known %v, want the session's own", id, known)
	}
}

// An assumption ends with the first look behind it. If the schema has changed since it was made, it was
// wrong, and the session's state is unknown.
func TestAssumptionEndsWithALook(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]bool{"the schema is as it was": false, "the schema has changed": true} {
		u := newUnderstanding()
		u.assume(u.db.verdicts.Generation())
		if changed {
			u.db.verdicts.SchemaChanged()
		}
		if holds := u.assumptionHolds(); holds == changed || u.assumption.made || u.talk.Clean() == changed {
			t.Errorf("%s: the state holds: %v, the assumption goes on: %v, the session is clean: %v, want %v, false, %v", name, holds, u.assumption.made, u.talk.Clean(), !changed, !changed)
		}
	}
}
