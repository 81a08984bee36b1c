// Package world is a database for tests: one number, whose commits and looks
// happen when a test says so, and a second tier to which a test can do anything.
package world

import (
	"context"
	"errors"
	"sync"

	"github.com/freshet/freshet/cache/fence"
)

// World is a database that holds one number, which every commit replaces, and its
// follower.
type World struct {
	// Fence is what the follower feeds.
	Fence *fence.Fence

	mu     sync.Mutex
	name   fence.Incarnation
	next   fence.XID
	value  int
	unseen []fence.Event // committed and not received
	deaf   bool          // looks fail
}

// NumberText and OtherText are tags: that of the number, and that of nothing.
const (
	NumberText = "16384/id=1"
	OtherText  = "16384/id=2"
)

// NumberTag is the tag that a commit moves.
var NumberTag = fence.NewTag(NumberText)

// First is the incarnation that a new World has.
const First fence.Incarnation = "first"

// New returns a world whose number is 1, and which has been looked at.
func New() *World {
	w := &World{Fence: fence.New(fence.Options{Slots: 64}), next: 100, value: 1}
	w.Reset(First)
	return w
}

// Reset is the follower's start in an incarnation.
func (w *World) Reset(name fence.Incarnation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.name, w.unseen = name, nil
	head := w.headLocked()
	w.Fence.Reset(head, head.Snapshot, nil, fence.Now())
}

func (w *World) headLocked() *fence.Head {
	snapshot, err := fence.NewSnapshot(w.next, w.next, nil)
	if err != nil {
		panic(err)
	}
	return &fence.Head{Incarnation: w.name, Snapshot: snapshot}
}

// Commit changes the number, moves its tag and returns what it is now. Nobody has
// received it yet.
func (w *World) Commit() int { return w.Move(NumberTag) }

// Move is a Commit that moves another tag.
func (w *World) Move(tag fence.Tag) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unseen = append(w.unseen, fence.Event{XID: w.next, Tags: []fence.Tag{tag}})
	w.next++
	w.value++
	return w.value
}

// Read returns the number.
func (w *World) Read() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.value
}

// Look receives everything committed.
func (w *World) Look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := fence.Now()
	w.Fence.Advance(w.headLocked(), w.unseen, began)
	w.unseen = nil
}

// SetDeaf says whether looks that somebody waits for fail.
func (w *World) SetDeaf(deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = deaf
}

// ErrDeaf is what Confirm answers while the follower is deaf.
var ErrDeaf = errors.New("the follower does not look")

// Confirm is a follower's.
func (w *World) Confirm(ctx context.Context, at fence.Instant) error {
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return ErrDeaf
	}
	if w.Fence.LookBegan() < at {
		w.Look()
	}
	return nil
}
