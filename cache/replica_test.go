package cache

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/freshet/freshet/cache/fence"
)

// mirror is a standby of a world, which shows what the world held when it was
// last copied.
type mirror struct {
	w *world

	mu    sync.Mutex
	head  *fence.Head
	value int
	// confirms, unless nil, is the answer to every Confirm.
	confirms error
	asked    int
}

func newMirror(w *world) *mirror {
	m := &mirror{w: w}
	m.replay()
	return m
}

// replay lets the mirror show what the newest head includes.
func (m *mirror) replay() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head, m.value = m.w.fence.Head(), m.w.read()
}

// show lets the mirror show a value that the world does not.
func (m *mirror) show(value int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value = value
}

func (m *mirror) read() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value
}

func (m *mirror) Begin() (fence.Label, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fence.LabelAt(m.head), true
}

func (m *mirror) Confirm(context.Context, fence.Label, fence.Instant, fence.Instant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return m.confirms
}

var errReplica = errors.New("canceling statement due to conflict with recovery")

// mirrored is a wrapped function that reads the mirror where it may. broken, while
// set, is what the mirror answers.
type mirrored struct {
	*Cache
	*mirror
	w      *world
	broken error
	get    func(context.Context, int) (int, error)
}

func newMirrored(t *testing.T, change func(*Options)) *mirrored {
	t.Helper()
	w := newWorld(t)
	m := &mirrored{w: w, Cache: open(t, w, change), mirror: newMirror(w)}
	m.get = Wrap(m.Cache, "number", func(ctx context.Context, _ int) (int, error) {
		if OnReplica(ctx) {
			return m.mirror.read(), m.broken
		}
		return w.read(), nil
	}, Policy[int, int]{
		TagsFromKey: func(k int) []Dependency { return []Dependency{Row("public.numbers", "id", strconv.Itoa(k))} },
		Replica:     m.mirror,
	})
	return m
}

// want requires an answer for a context and says how many came from the mirror.
func (m *mirrored) want(t *testing.T, ctx context.Context, value int, fromReplica uint64) {
	t.Helper()
	got, err := m.get(ctx, 1)
	if err != nil || got != value {
		t.Fatalf("got %d, %v; want %d", got, err, value)
	}
	if n := m.Stats().ReplicaLoads; n != fromReplica {
		t.Fatalf("%d answers came from the replica, want %d", n, fromReplica)
	}
}

func TestReplicaServesBoundedReadersOnly(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	m.mirror.show(-7) // a commit that the primary does not show yet
	m.want(t, t.Context(), -7, 1)
	m.want(t, t.Context(), -7, 1) // a hit
	if hits := m.Stats().Hits; hits != 1 {
		t.Fatalf("%d hits", hits)
	}
	for _, level := range []fence.Level{fence.OwnWrites, fence.Strong} {
		s := &fence.Session{}
		s.SetLevel(level)
		m.want(t, WithSession(t.Context(), s), 1, 1)
	}
	bounded := &fence.Session{}
	bounded.SetLevel(fence.Bounded)
	m.want(t, WithSession(t.Context(), bounded), 1, 1) // the primary's entry is good for all
}

func TestLaggingReplicaCostsALoad(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	m.w.commit()
	m.w.look()
	m.want(t, t.Context(), 2, 0)
	if n := m.Stats().ReplicaRefused; n != 1 {
		t.Fatalf("%d refusals", n)
	}
	m.w.commit()
	m.w.look()
	m.mirror.replay()
	m.want(t, t.Context(), 3, 1)
}

func TestErrorOfAReplicaIsThePrimarysToAnswer(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	m.broken = errReplica
	m.want(t, t.Context(), 1, 0)
}

func TestUnconfirmedReplicaIsNotUsed(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	m.mirror.confirms = errors.New("it was promoted")
	m.mirror.show(-7)
	m.want(t, t.Context(), 1, 0)
	if m.mirror.asked != 1 {
		t.Fatalf("asked %d times", m.mirror.asked)
	}
}

func TestFlightOfAReplicaIsNotSharedWithSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := open(t, w, nil)
	m := newMirror(w)
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
	w, b := newWorld(t), newBag()
	remote := func(o *Options) { o.Remote = b }
	first, second := open(t, w, remote), open(t, w, remote)
	start, _ := first.StartReplica(newMirror(w))
	if !first.Store(entry(first, "k", start, "from the replica")) {
		t.Fatal("not stored")
	}
	<-b.set
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
