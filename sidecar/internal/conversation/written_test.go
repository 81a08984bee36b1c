package conversation

import (
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

// What a session may have written is to be marked whenever the client may learn that it is
// committed, until Postgres is idle; and it is no more than its statements may write.
func TestWrittenIsToBeMarked(t *testing.T) {
	t.Parallel()
	one, two := fence.NewTag("one"), fence.NewTag("two")
	writes := func(generation uint64, tags ...fence.Tag) *shapes.Effect {
		return &shapes.Effect{Tags: tags, Analysed: true, Generation: generation}
	}
	rows := &shapes.Effect{AnyRows: true}
	c := talking()
	say := func(e Expectation, status byte, tag string) (w Written, toMark bool) {
		c.OweUnit(e)
		c.hear('C', []byte(tag+"\x00"))
		c.hear('Z', []byte{status})
		c.Lock()
		defer c.Unlock()
		unmarked := c.UnmarkedLocked()
		if unmarked == nil {
			return w, false
		}
		w = *unmarked
		w.Tags = append([]fence.Tag(nil), w.Tags...)
		c.MarkedLocked()
		return w, !w.Nothing()
	}
	for _, step := range []struct {
		name                         string
		sent                         Expectation
		status                       byte
		tag                          string
		tags                         int
		anything, definitions, roles bool
	}{
		{name: "a read", sent: Expectation{Kind: Query, Harmless: true}, status: protocol.StatusIdle, tag: "SELECT 1"},
		{name: "nothing", sent: Expectation{Kind: Query, Effect: shapes.NoEffect}, status: protocol.StatusIdle, tag: "SET"},
		{name: "a table", sent: Expectation{Kind: Query, Effect: writes(1, one)}, status: protocol.StatusIdle, tag: "UPDATE 1", tags: 1},
		{name: "a read behind it", sent: Expectation{Kind: Query, Harmless: true}, status: protocol.StatusIdle, tag: "SELECT 1"},
		{name: "a table, in a transaction", sent: Expectation{Kind: Query, Effect: writes(1, one)}, status: protocol.StatusInBlock, tag: "UPDATE 1", tags: 1},
		{name: "the same one", sent: Expectation{Kind: Query, Effect: writes(1, one)}, status: protocol.StatusInBlock, tag: "UPDATE 1", tags: 1},
		{name: "another one", sent: Expectation{Kind: Query, Effect: writes(1, two)}, status: protocol.StatusInBlock, tag: "UPDATE 1", tags: 2},
		{name: "a read in it", sent: Expectation{Kind: Query, Harmless: true}, status: protocol.StatusInBlock, tag: "SELECT 1", tags: 2},
		{name: "by another schema", sent: Expectation{Kind: Query, Effect: writes(2, two)}, status: protocol.StatusInBlock, tag: "UPDATE 1", tags: 2, anything: true},
		{name: "COMMIT", sent: Expectation{Kind: Query, Effect: shapes.NoEffect}, status: protocol.StatusIdle, tag: "COMMIT", tags: 2, anything: true},
		{name: "a read behind it all", sent: Expectation{Kind: Query, Harmless: true}, status: protocol.StatusIdle, tag: "SELECT 1"},
		{name: "some rows", sent: Expectation{Kind: Query, Effect: rows}, status: protocol.StatusIdle, tag: "INSERT 0 1", anything: true},
		{name: "nobody knows what", sent: Expectation{Kind: Query}, status: protocol.StatusIdle, tag: "CREATE TABLE", anything: true, definitions: true},
		{name: "a role", sent: Expectation{Kind: Query}, status: protocol.StatusIdle, tag: "ALTER ROLE", anything: true, definitions: true, roles: true},
		{name: "a database's settings", sent: Expectation{Kind: Query}, status: protocol.StatusIdle, tag: "ALTER DATABASE", anything: true, definitions: true, roles: true},
		{name: "privileges, and fails to commit", sent: Expectation{Kind: Query}, status: protocol.StatusFailed, tag: "GRANT", anything: true, definitions: true, roles: true},
	} {
		w, toMark := say(step.sent, step.status, step.tag)
		if len(w.Tags) != step.tags || w.Anything != step.anything || w.Definitions != step.definitions || w.Roles != step.roles {
			t.Errorf("%s: written is %+v", step.name, w)
		}
		if want := step.tags > 0 || step.anything; toMark != want {
			t.Errorf("%s: to be marked: %v", step.name, toMark)
		}
	}
}

// Where Postgres is lost while something is under way, nobody knows how that has ended.
func TestUnknownEnd(t *testing.T) {
	t.Parallel()
	for words, unknown := range map[string]bool{
		"": false, "+Q": true, "+Q Cf": true, "+Q Cf ZIf": false, "+Q Cf ZTf": true, "+Q.n": true, "+Q.n Cf ZIf": false, "+Q.n Cf ZTf": false,
	} {
		s := &script{Conversation: talking(), t: t}
		s.play(words)
		if got := s.UnknownEnd(); got != unknown {
			t.Errorf("%q: the end is unknown: %v", words, got)
		}
	}
}
