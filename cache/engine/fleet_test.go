package engine

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
)

// database is one number that several processes cache.
type database struct {
	mu     sync.Mutex
	value  int
	events []fence.Event
}

const firstXID = 100

func newDatabase() *database { return &database{value: 1} }

func (d *database) commit() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, fence.Event{XID: firstXID + fence.XID(len(d.events)), Tags: []fence.Tag{world.NumberTag}})
	d.value++
	return d.value
}

func (d *database) read() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.value
}

// member is one process of a fleet: a cache with a fence, a follower and a
// connection to Redis of its own.
type member struct {
	database *database
	fence    *fence.Fence
	store    *redis.Store // nil if the tier is another
	cache    *Cache

	mu   sync.Mutex // held during a look
	seen int        // events received
	// still makes Confirm claim looks that do not happen.
	still atomic.Bool
	// held, unless nil, keeps Confirm from returning until it is closed.
	held chan struct{}

	loads atomic.Int64
	// during, unless nil, runs between a load's query and its end.
	during func()
}

func (m *member) head(events int) *fence.Head {
	next := firstXID + fence.XID(events)
	snapshot, err := fence.NewSnapshot(next, next, nil)
	if err != nil {
		panic(err)
	}
	return &fence.Head{Incarnation: "first", Snapshot: snapshot}
}

func (m *member) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	began := fence.Now()
	m.database.mu.Lock()
	events := m.database.events
	m.database.mu.Unlock()
	m.fence.Advance(m.head(len(events)), events[m.seen:], began)
	m.seen = len(events)
}

func (m *member) Confirm(_ context.Context, at fence.Instant) error {
	if m.held != nil {
		<-m.held
	}
	if !m.still.Load() && m.fence.LookBegan() < at {
		m.look()
	}
	return nil
}

// load reads the number, and makes text of it.
func (m *member) load() (string, error) {
	m.loads.Add(1)
	value := m.database.read()
	if m.during != nil {
		m.during()
	}
	return strconv.Itoa(value), nil
}

// numberKey is the key that all members keep the number under, and numberShape what
// its loads have in common.
const (
	numberKey   = "number"
	numberShape = 7
)

// get reads the number.
func (m *member) get(ctx context.Context, s *fence.Session) (int, error) {
	e, err := m.obtain(ctx, s, m.load)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(e.Payload.(text)))
}

// obtain reads the number's key with every step of a read that may load.
func (m *member) obtain(ctx context.Context, s *fence.Session, load func() (string, error)) (*Entry, error) {
	c, key := m.cache, []byte(numberKey)
	s.Begin(fence.Now())
	e, outcome := c.Lookup(key, c.Hash(key), fence.Now(), s)
	if outcome == Unproven && c.Prove(ctx, c.Peek(key, c.Hash(key)), s) {
		e, outcome = c.Lookup(key, c.Hash(key), fence.Now(), s)
	}
	if outcome == Hit {
		return e, nil
	}
	f := c.Join(key)
	defer f.Finish(nil)
	if e, ok := f.Wait(ctx, s); ok {
		return e, nil
	}
	if e, tier := f.Fetch(ctx, numberShape, decodeText); tier != Nowhere && c.ServeProving(ctx, e, s) {
		f.Finish(e)
		return e, nil
	}
	start, labelled := c.Begin()
	value, err := load()
	if err != nil || !labelled {
		return nil, errors.Join(err, ctx.Err())
	}
	e = c.NewEntry(Loaded{Key: key, Start: start, End: fence.Now(), Tags: []fence.Tag{world.NumberTag}, Payload: text(value)})
	c.Store(e)
	f.Finish(e)
	return e, nil
}

// mustGet is get for a reader without a session.
func (m *member) mustGet(t *testing.T) int {
	t.Helper()
	value, err := m.get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// join starts a process. change, unless nil, has the last word on its options.
func (d *database) join(t *testing.T, remote Remote, change func(*Options)) *member {
	t.Helper()
	m := &member{database: d, fence: fence.New(fence.Options{Slots: 64})}
	m.store, _ = remote.(*redis.Store)
	head := m.head(0)
	m.fence.Reset(head, head.Snapshot, nil, fence.Now())
	m.look()
	m.cache = open(t, &world.World{Fence: m.fence}, func(o *Options) {
		o.Confirm, o.Remote = m.Confirm, remote
		// No load here is too short to be shared, and none waits for a slow machine.
		o.LeaseMin, o.WaitMax = time.Nanosecond, time.Minute
		if change != nil {
			change(o)
		}
	})
	return m
}

// fleet is n processes that share a Redis.
func fleet(t *testing.T, n int, o redis.Options) (*database, []*member) {
	t.Helper()
	d := newDatabase()
	members := make([]*member, n)
	for i := range members {
		members[i] = d.join(t, redistest.Store(t, o), nil)
	}
	return d, members
}

func loadsOf(members []*member) (sum int64) {
	for _, m := range members {
		sum += m.loads.Load()
	}
	return sum
}
