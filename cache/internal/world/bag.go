package world

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"testing"
	"time"
)

// Bag is a remote tier in this process.
type Bag struct {
	mu    sync.Mutex
	items map[string][]byte
	// Left is what the bag says of the life of every item.
	Left time.Duration
	// Sets is told the key of every Set, as long as it has room.
	Sets chan string
}

// NewBag returns an empty bag.
func NewBag() *Bag {
	return &Bag{items: map[string][]byte{}, Left: time.Hour, Sets: make(chan string, 1024)}
}

// Get returns what was last set under key.
func (b *Bag) Get(_ context.Context, key string) ([]byte, time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.items[key]
	return v, b.Left, ok
}

// Set keeps value, whatever its life is.
func (b *Bag) Set(_ context.Context, key string, value []byte, ttl time.Duration) bool {
	b.mu.Lock()
	b.items[key] = bytes.Clone(value)
	b.mu.Unlock()
	select {
	case b.Sets <- key:
	default: // nobody reads them
	}
	return ttl > 0
}

// AwaitSet waits for a Set that nobody has waited for.
func (b *Bag) AwaitSet(t testing.TB) {
	t.Helper()
	select {
	case <-b.Sets:
	case <-time.After(patience):
		t.Fatal("nothing was published")
	}
}

// Snapshot returns everything in the bag.
func (b *Bag) Snapshot() map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.items)
}

// Restore replaces everything in the bag.
func (b *Bag) Restore(items map[string][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = maps.Clone(items)
}
