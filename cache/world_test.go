package cache

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	redis.SilenceClient()
	code := servers.Main(m, servers.Needs{Redis: true})
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// world is a database whose commits and looks happen when a test says so. It
// holds one number, which every commit replaces.
type world struct {
	fence *fence.Fence

	mu     sync.Mutex
	name   fence.Incarnation
	next   fence.XID
	value  int
	unseen []fence.Event // committed and not received
	looks  int
	deaf   bool // looks fail
}

const (
	numberText = "16384/id=1"
	otherText  = "16384/id=2"
)

var numberTag = fence.NewTag(numberText)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{fence: fence.New(fence.Options{Slots: 64}), name: "first", next: 100, value: 1}
	w.reset("first")
	return w
}

// reset is the follower's start in an incarnation.
func (w *world) reset(name fence.Incarnation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.name, w.unseen = name, nil
	head := w.headLocked()
	w.fence.Reset(head, head.Snapshot, nil, fence.Now())
}

func (w *world) headLocked() *fence.Head {
	snapshot, err := fence.NewSnapshot(w.next, w.next, nil)
	if err != nil {
		panic(err)
	}
	return &fence.Head{Incarnation: w.name, Snapshot: snapshot}
}

// commit changes the number and moves its tag. Nobody has received it yet.
func (w *world) commit() int { return w.move(numberTag) }

func (w *world) move(tag fence.Tag) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unseen = append(w.unseen, fence.Event{XID: w.next, Tags: []fence.Tag{tag}})
	w.next++
	w.value++
	return w.value
}

func (w *world) read() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.value
}

// look receives everything committed.
func (w *world) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := fence.Now()
	w.fence.Advance(w.headLocked(), w.unseen, began)
	w.unseen = nil
	w.looks++
}

func (w *world) setDeaf(deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = deaf
}

var errDeaf = errors.New("the follower does not look")

// Confirm is a follower's.
func (w *world) Confirm(ctx context.Context, at fence.Instant) error {
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return errDeaf
	}
	if w.fence.LookBegan() < at {
		w.look()
	}
	return nil
}

// bag is a remote tier in this process, to which a test can do anything.
type bag struct {
	mu    sync.Mutex
	items map[string][]byte
	// left is what it says of the life of every item.
	left time.Duration
	gets int
	// set is told of every set.
	set chan string
}

func newBag() *bag {
	return &bag{items: map[string][]byte{}, left: time.Hour, set: make(chan string, 1024)}
}

func (b *bag) Get(_ context.Context, key string) ([]byte, time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gets++
	v, ok := b.items[key]
	return v, b.left, ok
}

func (b *bag) Set(_ context.Context, key string, value []byte, ttl time.Duration) bool {
	b.mu.Lock()
	b.items[key] = append([]byte(nil), value...)
	b.mu.Unlock()
	b.set <- key
	return ttl > 0
}

func (b *bag) snapshot() map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.items)
}

func (b *bag) restore(items map[string][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = maps.Clone(items)
}

// text is a payload of bytes.
type text string

func (p text) Size() int                               { return len(p) }
func (p text) AppendBinary(dst []byte) ([]byte, error) { return append(dst, p...), nil }

func decodeText(src []byte) (Payload, error) { return text(src), nil }

// open returns a running cache of w.
func open(t *testing.T, w *world, change func(*Options)) *Cache {
	t.Helper()
	o := Options{
		Fence: w.fence, Confirm: w.Confirm, MemoryBytes: 1 << 22, Staleness: time.Hour,
		Resolve: func(d Dependency, _ fence.Label) ([]fence.Tag, bool) {
			return []fence.Tag{fence.NewTag("16384/" + d.Column + "=" + d.Value)}, d.Table == "public.numbers"
		},
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.Close()
	})
	return c
}

// entry makes an entry for key that depends on the number, as a load that began
// at start would.
func entry(c *Cache, key string, start Start, payload string) *Entry {
	return c.NewEntry(Loaded{Key: []byte(key), Start: start, End: fence.Now(), Tags: []fence.Tag{numberTag}, Payload: text(payload)})
}

func begin(t *testing.T, c *Cache) Start {
	t.Helper()
	start, ok := c.Begin()
	if !ok {
		t.Fatal("no head")
	}
	return start
}

// find is a Lookup by key alone.
func find(c *Cache, key string, s *fence.Session) (*Entry, Outcome) {
	return c.Lookup([]byte(key), c.Hash([]byte(key)), fence.Now(), s)
}

func fetch(t *testing.T, c *Cache, key string) (*Entry, Tier) {
	t.Helper()
	return c.Fetch(t.Context(), []byte(key), c.Hash([]byte(key)), decodeText)
}

// until waits for a condition that another goroutine or process brings about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
