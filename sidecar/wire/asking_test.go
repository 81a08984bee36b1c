package wire

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/sidecar/internal/protocol"
	"github.com/freshet/freshet/sidecar/internal/reasons"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/transport"
)

// A question of the sidecar's own that has failed is not asked again at once, and each time it
// fails the pause before the next is longer. The client sees none of it.
func TestAskingPausesBehindAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := unconnected(t)
		s.up = transport.NewStream(silent{}, nil)
		failed := join(protocol.ErrorResponse("ERROR", "3F000", "schema \"freshet\" does not exist", ""), []byte(protocol.ReadyIdle))
		for i := range 3 {
			asked := make(chan string)
			go func() { asked <- s.refreshState() }()
			synctest.Wait()
			if shown := s.receive(t, failed); len(shown) > 0 {
				t.Errorf("the client sees %s", show(shown))
			}
			if got := <-asked; got != reasons.ProbeFailed {
				t.Errorf("a failed question gives %q", got)
			}
			pause := probeWaitMin << i
			time.Sleep(pause - 1)
			if got := s.refreshState(); got != reasons.ProbeFailed || s.server.counters.UpstreamProbes.Load() != uint64(i+1) {
				t.Errorf("within the pause: %q, %d questions", got, s.server.counters.UpstreamProbes.Load())
			}
			time.Sleep(1 * time.Nanosecond)
		}
	})
}

// Nothing is asked in the middle of what is the client's.
func TestAskingLeavesTheClientsAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*asking){
		reasons.OpenGroup:     func(a *asking) { a.talk.LeaveOpen(true, false) },
		reasons.InTransaction: func(a *asking) { a.inTransaction = true },
		reasons.Pipelined:     func(a *asking) { a.behind = true },
	} {
		var log []written
		a := &asking{}
		a.attach(t.Context(), &database{verdicts: shapes.NewBook(anyAnalyzer{}, nil), follower: idleFollower{}}, nil)
		a.up = transport.NewStream(end{to: "Postgres", log: &log}, nil)
		change(a)
		if got := a.refreshState(); got != name || len(a.toUp) > 0 || len(log) > 0 || a.talk.Owed() {
			t.Errorf("%s: %q, %q is to be sent", name, got, a.toUp)
		}
	}
}

// What is held back belongs to the next unit: a question of the sidecar's own ends Postgres'
// unnamed statement, and notes that.
func TestAskedQueryEndsTheUnnamedStatement(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	p := parsed(nil)
	s.statements.Assign("", p)
	s.statements.Provide(p)
	if !s.statements.Holds(p) {
		t.Fatal("Postgres does not hold the statement")
	}
	if err := s.ask("SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if want := protocol.AppendMessage(nil, 'Q', []byte("SELECT 1\x00")); string(s.toUp) != string(want) || !s.talk.Owed() {
		t.Errorf("%q is to be sent", s.toUp)
	}
	if s.statements.Holds(p) || s.statements.Unnamed() != p {
		t.Error("Postgres is believed to hold it still, or the client to have lost it")
	}
}
