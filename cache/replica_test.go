package cache

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

var errReplica = errors.New("canceling statement due to conflict with recovery")

// mirrored is a wrapped function that reads the mirror where it may. broken, while
// set, is what the mirror answers.
type mirrored struct {
	*Cache
	mirror *world.Mirror
	w      *world.World
	broken error
	get    func(context.Context, int) (int, error)
}

func newMirrored(t *testing.T, change func(*CacheOptions)) *mirrored {
	t.Helper()
	w := world.New()
	m := &mirrored{w: w, Cache: open(t, w, change), mirror: world.NewMirror(w)}
	m.get = Wrap(m.Cache.DB(), "number", func(ctx context.Context, _ int) (int, error) {
		if OnReplica(ctx) {
			return m.mirror.Read(), m.broken
		}
		return w.Read(), nil
	}, Policy[int, int]{
		DependsOn: func(k, _ int) []Dependency { return []Dependency{Row("public.numbers", "id", strconv.Itoa(k))} },
		Replica:   m.mirror,
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
	m.mirror.Show(-7) // a commit that the primary does not show yet
	m.want(t, t.Context(), -7, 1)
	m.want(t, t.Context(), -7, 1) // a hit
	if hits := m.Stats().Hits; hits != 1 {
		t.Fatalf("%d hits", hits)
	}
	for _, level := range []fence.Level{fence.OwnWrites, fence.Strong} {
		s := &fence.Session{}
		s.SetLevel(level)
		m.want(t, withSession(t.Context(), s), 1, 1)
	}
	bounded := &fence.Session{}
	bounded.SetLevel(fence.Bounded)
	m.want(t, withSession(t.Context(), bounded), 1, 1) // the primary's entry is good for all
}

func TestLaggingReplicaCostsALoad(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	m.w.Commit()
	m.w.Look()
	m.want(t, t.Context(), 2, 0)
	if n := m.Stats().ReplicaRefused; n != 1 {
		t.Fatalf("%d refusals", n)
	}
	m.w.Commit()
	m.w.Look()
	m.mirror.Replay()
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
	m.mirror.Refuse(errors.New("it was promoted"))
	m.mirror.Show(-7)
	m.want(t, t.Context(), 1, 0)
	if m.mirror.Asked() != 1 {
		t.Fatalf("asked %d times", m.mirror.Asked())
	}
}
