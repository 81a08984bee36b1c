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

// A probe that has failed is not sent again before a pause is over, and the pause doubles with
// each failure. The client sees nothing of the failed probes.
func TestProbePausesLongerBehindEachFailure(t *testing.T) {
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
				t.Errorf("the client sees %s, want nothing of a failed probe", show(shown))
			}
			if got := <-asked; got != reasons.ProbeFailed {
				t.Errorf("a failed probe gives the reason %q, want %q", got, reasons.ProbeFailed)
			}
			pause := probeWaitMin << i
			time.Sleep(pause - 1)
			if got := s.refreshState(); got != reasons.ProbeFailed || s.server.counters.UpstreamProbes.Load() != uint64(i+1) {
				t.Errorf("within the pause: reason %q and %d probes, want %q and %d", got, s.server.counters.UpstreamProbes.Load(), reasons.ProbeFailed, i+1)
			}
			time.Sleep(1 * time.Nanosecond)
		}
	})
}

// The sidecar sends no probe in an open group, in a transaction or behind unanswered messages of
// the client: an error of the probe would be an error of the client's group or transaction.
func TestNoProbeIsSentInAGroupTransactionOrPipeline(t *testing.T) {
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
			t.Errorf("%s: reason %q, %q is to be sent and %d writes were made, want that reason and nothing sent", name, got, a.toUp, len(log))
		}
	}
}

// A Query that the sidecar sends by itself ends Postgres' unnamed statement, as any Query does. The
// session notes that Postgres has lost the statement, and that the client still has it.
func TestSidecarsOwnQueryEndsTheUnnamedStatement(t *testing.T) {
	t.Parallel()
	s := unconnected(t)
	p := parsed(nil)
	s.statements.Assign("", p)
	s.statements.Provide(p)
	if !s.statements.Holds(p) {
		t.Fatal("the session does not note that Postgres holds the statement: this test shows nothing")
	}
	if err := s.ask("SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if want := protocol.AppendMessage(nil, 'Q', []byte("SELECT 1\x00")); string(s.toUp) != string(want) || !s.talk.Owed() {
		t.Errorf("%q is to be sent, and owed is %v; want %q, and an answer owed", s.toUp, s.talk.Owed(), want)
	}
	if s.statements.Holds(p) || s.statements.Unnamed() != p {
		t.Errorf("noted is that Postgres holds the statement: %v, that the client has it: %v; want false and true", s.statements.Holds(p), s.statements.Unnamed() == p)
	}
}
