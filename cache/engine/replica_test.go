package engine

import (
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

func TestFlightOfAReplicaIsNotSharedWithSessions(t *testing.T) {
	t.Parallel()
	w := world.New()
	c := open(t, w, nil)
	m := world.NewMirror(w)
	leader := c.Join([]byte("k"))
	waiters := map[*Flight]*fence.Session{}
	bounded := &fence.Session{}
	bounded.SetLevel(fence.Bounded)
	for _, s := range []*fence.Session{nil, bounded, {}} {
		waiters[c.Join([]byte("k"))] = s
	}
	start, _ := c.StartReplica(m)
	leader.Finish(entry(c, "k", start, "from the replica"))
	for f, s := range waiters {
		e, ok := f.Wait(t.Context(), s)
		if ok != s.Bounded() {
			t.Errorf("bounded %v: got %v", s.Bounded(), e)
		}
		f.Finish(nil)
	}
}

func TestReplicaEntryStaysOneInTheRemoteTier(t *testing.T) {
	t.Parallel()
	w, b := world.New(), world.NewBag()
	remote := func(o *Options) { o.Remote = b }
	first, second := open(t, w, remote), open(t, w, remote)
	start, _ := first.StartReplica(world.NewMirror(w))
	if !first.Store(entry(first, "k", start, "from the replica")) {
		t.Fatal("not stored")
	}
	b.AwaitSet(t)
	e, tier := fetch(t, second, "k")
	if tier != Shared || !e.Ticket.Label().Replica || !e.Ticket.Label().Upper.IsZero() {
		t.Fatalf("found %+v in tier %d", e, tier)
	}
	if got := second.Serve(e, fence.Now(), &fence.Session{}); got != Miss {
		t.Fatalf("a session was shown it: %v", got)
	}
	if got := second.Serve(e, fence.Now(), nil); got != Hit {
		t.Fatalf("a bounded reader was not: %v", got)
	}
}
