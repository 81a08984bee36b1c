package wire

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// faultyFollower panics in its next State or Suspect once the flag of that name was set, and counts
// how often sessions have woken it.
type faultyFollower struct {
	Follower
	state, suspect atomic.Bool
	woken          atomic.Int64
}

func (f *faultyFollower) Wake() {
	f.woken.Add(1)
	f.Follower.Wake()
}

func (f *faultyFollower) State() *invalidation.State {
	if f.state.Swap(false) {
		panic("a fault where the client's messages are dealt with")
	}
	return f.Follower.State()
}

func (f *faultyFollower) Suspect() {
	if f.suspect.Swap(false) {
		panic("a fault where Postgres' messages are dealt with")
	}
	f.Follower.Suspect()
}

// A session in which the sidecar panics ends with an error to its client, and is counted. All other
// sessions go on.
func TestFaultEndsOneSession(t *testing.T) {
	t.Parallel()
	bed := newRolesTestbed(t, itemSchema)
	bed.faults = &faultyFollower{}
	s := bed.sidecar()
	read := func(id int) []byte { return msgQuery(fmt.Sprintf("SELECT name FROM item WHERE id = %d", id)) }
	s.learn("SELECT name FROM item WHERE id = 1")
	bystander := dialRaw(t, s.dsn())
	for i, f := range []struct {
		fault *atomic.Bool
		meets []byte
	}{
		{&bed.faults.state, read(3)}, // a miss asks the follower for its state
		{&bed.faults.suspect, msgQuery("ALTER ROLE " + superuser + " CONNECTION LIMIT -1")},
	} {
		c := dialRaw(t, s.dsn())
		c.ask(read(1)) // the session's state is known now
		f.fault.Store(true)
		c.send(f.meets)
		if got := string(c.rest()); !strings.Contains(got, "CXX000\x00") {
			t.Errorf("fault %d: the client is sent %q, want the error XX000", i, got)
		}
		s.panics++
		if got := string(bystander.ask(read(1))); !strings.Contains(got, "SELECT 1") {
			t.Errorf("fault %d: another client is sent %q, want its row", i, got)
		}
		if n := s.Report().Panics; n != s.panics {
			t.Errorf("%d faults are counted, want %d", n, s.panics)
		}
	}
	servers.Eventually(t, "both sessions to be gone", func() bool { return s.Report().Sessions == 1 })
}
