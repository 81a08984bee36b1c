package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Pass returns a DB that passes every statement on to q, a pool or a stand-in for one, and
// keeps nothing. Close it.
func Pass(t testing.TB, q cache.Querier) *cache.DB {
	t.Helper()
	db := cache.Uncached(q)
	t.Cleanup(db.Close)
	return db
}

// World is a database that nobody sees: it has no rows, only commits, and a follower that
// sees them when the test says so. Functions wrapped with its DB name what they depend on
// (Policy.DependsOn), and load from wherever the test has its values.
type World struct {
	fence *fence.Fence
	db    *cache.DB

	mu     sync.Mutex
	next   fence.XID
	unseen []fence.Event // committed and not received
	looked fence.Instant // when the last look began, by the world's clock
	lost   bool
}

// ErrLost is why no look comes while the follower is cut off.
var ErrLost = errors.New("the follower of the world is cut off")

// incarnation is the one that a world lives in.
const incarnation = "cachetest"

// New returns a world that has been looked at. The test fails at a hit of a value that a
// caller has changed since it was kept, however deep in it. Of o the sizes, the TTL, the staleness, the
// second tier, the logger and OnRead count.
func New(t testing.TB, o cache.Options) *World {
	t.Helper()
	w := &World{fence: fence.New(fence.Options{}), next: 100, looked: fence.Now()}
	head, err := w.headLocked()
	if err != nil {
		t.Fatal(err)
	}
	w.fence.Reset(head, head.Snapshot, nil, w.looked)
	c, err := cache.New(cache.CacheOptions{
		Options: engine.Options{
			Fence: w.fence, Confirm: w.confirm, Remote: o.Remote, Compress: o.Compress, Keys: o.Keys,
			MemoryBytes: o.Memory, EntryMax: o.EntryMax, TTL: o.TTL, Staleness: o.Staleness,
		},
		Resolve: func(d cache.Dependency, _ fence.Label) cache.Resolution { return cache.Resolution{Tags: tags(d)} },
		Logger:  o.Logger, LoadMax: o.LoadMax, OnRead: o.OnRead,
		OnChanged: func(name string) {
			t.Errorf("a caller has changed a value of %s, which all share: copy it first, or set Policy.Clone", name)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.db = c.DB()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w.db.Close()
	})
	return w
}

// DB returns what functions are wrapped by. Statements through it fail: there is nothing
// that they could be run by.
func (w *World) DB() *cache.DB { return w.db }

// Commit is somebody's who changed what the dependencies name: a Row, a Table as a whole,
// or a Tag. It is acknowledged, and the follower has not seen it.
func (w *World) Commit(d ...cache.Dependency) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := fence.Event{XID: w.next}
	for _, of := range d {
		e.Tags = append(e.Tags, moved(of)...)
	}
	w.unseen = append(w.unseen, e)
	w.next++
}

// Look lets the follower see all that was committed.
func (w *World) Look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookLocked()
}

func (w *World) lookLocked() {
	head, err := w.headLocked()
	if err != nil {
		panic(err) // of numbers that only grow
	}
	w.looked = fence.Now()
	w.fence.Advance(head, w.unseen, w.looked)
	w.unseen = nil
}

// Advance lets time pass since the last look. Lives of entries are not touched by it.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked = w.looked.Add(-d)
	w.fence.Advance(w.fence.Head(), nil, w.looked)
}

// Lose says whether the follower is cut off: no look comes, and nothing is proven that
// needs one.
func (w *World) Lose(lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = lost
}

// confirm is the follower's: who needs a look, gets one.
func (w *World) confirm(_ context.Context, at fence.Instant) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looked >= at {
		return nil
	}
	if w.lost {
		return ErrLost
	}
	w.lookLocked()
	return nil
}

func (w *World) headLocked() (*fence.Head, error) {
	snapshot, err := fence.NewSnapshot(w.next, w.next, nil)
	return &fence.Head{Incarnation: incarnation, Snapshot: snapshot}, err
}

// tags are those of an answer with a dependency, and moved those that a change of what it
// names moves.
func tags(d cache.Dependency) []fence.Tag {
	switch {
	case d.Name != "":
		return tagsOf("own " + d.Name)
	case d.Column != "":
		return tagsOf(valueText(d), "wholesale "+d.Table)
	default:
		return tagsOf("table " + d.Table)
	}
}

func moved(d cache.Dependency) []fence.Tag {
	switch {
	case d.Name != "":
		return tagsOf("own " + d.Name)
	case d.Column != "":
		return tagsOf(valueText(d), "table "+d.Table)
	default:
		return tagsOf("wholesale "+d.Table, "table "+d.Table)
	}
}

func valueText(d cache.Dependency) string {
	return fmt.Sprintf("value %s %s %v", d.Table, d.Column, d.Value)
}

func tagsOf(texts ...string) []fence.Tag {
	tags := make([]fence.Tag, len(texts))
	for i, text := range texts {
		tags[i] = fence.NewTag(text)
	}
	return tags
}
