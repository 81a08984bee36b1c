package wire

import (
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// The interleaving described at provideUnnamed: a Bind comes together with a group that
// fails before its Parse, and is dealt with when that is heard.
func TestBindBehindASkippedParseUsesTheStatementBefore(t *testing.T) {
	t.Parallel()
	s := fuzzed(t, &engine.Cache{})
	a := s.statements.Unnamed()
	s.statements.Provide(a)
	s.statements.Settled()
	group := join(msgBind("nothing"), msgParse("", "SELECT 2"), msgSync)
	s.planGroup(group)
	if err := s.forwardGroup(group, false); err != nil {
		t.Fatal(err)
	}
	s.toUp = s.toUp[:0]
	s.receive(t, join(protocol.ErrorResponse("ERROR", "26000", "no such statement", ""), []byte(protocol.ReadyIdle)))
	bind := join(msgBind(""), msgExecute("", 0), msgSync)
	if reason := s.obstacle(); reason == "" {
		t.Error("a group may be answered by a statement that Postgres has skipped")
	}
	s.planGroup(bind)
	if err := s.forwardGroup(bind, false); err != nil {
		t.Fatal(err)
	}
	if string(s.toUp) != string(bind) || s.statements.Unnamed() != a || !s.statements.Holds(a) {
		t.Errorf("Postgres is sent %q", s.toUp)
	}
}
