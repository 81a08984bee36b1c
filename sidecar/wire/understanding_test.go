package wire

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/conversation"
	"github.com/freshet/freshet/sidecar/internal/probe"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// newUnderstanding is what is known behind the first probe, without a session.
func newUnderstanding() *understanding {
	u := &understanding{db: &database{verdicts: shapes.NewBook(anyAnalyzer{}, nil), follower: idleFollower{}}, talk: conversation.New()}
	u.talk.Begin('I')
	u.known.Note(&probe.State{})
	return u
}

// Whether Postgres may be asked something of the sidecar's own is told by what is known alone.
func TestUnderstandingSaysWhetherToAsk(t *testing.T) {
	t.Parallel()
	p := &statements.Prepared{} // of a text that was too long to be kept
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
			t.Errorf("%s: %q, want %q", name, got, test.reason)
		}
	}
}

// What an answer's key holds of settings is the block's value, before the session's, and nothing
// where nobody can know it.
func TestUnderstandingOfKeyedSettings(t *testing.T) {
	t.Parallel()
	u := newUnderstanding()
	if _, known := u.keyedValue("app.tenant"); known {
		t.Error("a value is known that nobody has asked for")
	}
	u.known.Note(&probe.State{Keyed: map[string][]byte{"app.tenant": []byte("a"), "app.none": nil}})
	for name, want := range map[string]string{"app.tenant": "a", "app.none": ""} {
		if value, known := u.keyedValue(name); !known || string(value) != want {
			t.Errorf("%s is %q, known %v", name, value, known)
		}
	}
	u.values.place([]string{"app.none"}, false)
	if _, known := u.keyedValue("app.none"); known {
		t.Error("a value is known that a transaction may have set")
	}
	u.values.unknown = true
	if _, known := u.stateWith([]string{"app.tenant"}); known {
		t.Error("a value is known in a transaction that may have set it")
	}
	if id, known := u.stateWith(nil); !known || id != u.state().ID {
		t.Error("what depends on no setting has another key")
	}
}

// An assumption ends with the first look behind it, and was wrong if the schema has changed since.
func TestUnderstandingEndsAssumptions(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]bool{"the schema is as it was": false, "the schema has changed": true} {
		u := newUnderstanding()
		u.assume(u.db.verdicts.Generation())
		if changed {
			u.db.verdicts.SchemaChanged()
		}
		if holds := u.assumptionHolds(); holds == changed || u.assumption.made || u.talk.Clean() == changed {
			t.Errorf("%s: it holds %v, clean %v", name, holds, u.talk.Clean())
		}
	}
}
