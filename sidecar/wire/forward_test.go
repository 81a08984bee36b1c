package wire

import (
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// Forces the interleaving described at provideUnnamed: a group whose Parse Postgres skips, and a
// Bind behind the group, come together, and the Bind is handled once Postgres has said that the
// group has failed. The Bind then uses the unnamed statement from before the group.
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
		t.Error("no obstacle to answering a group by a statement whose Parse Postgres has skipped, want one")
	}
	s.planGroup(bind)
	if err := s.forwardGroup(bind, false); err != nil {
		t.Fatal(err)
	}
	if string(s.toUp) != string(bind) || s.statements.Unnamed() != a || !s.statements.Holds(a) {
		t.Errorf("Postgres is sent %q, want %q; the client has the statement before: %v, Postgres holds it: %v, want both", s.toUp, bind, s.statements.Unnamed() == a, s.statements.Holds(a))
	}
}
