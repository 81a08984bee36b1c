package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Cache is what wrapped functions share: two tiers, and the loads under way. New
// makes one.
type Cache struct {
	engine   *engine.Cache
	resolver func(Dependency, fence.Label) Resolution
	logger   *slog.Logger
	loadMax  time.Duration
	entryMax int
	counters counters
	outcomes outcomes
	onRead   func(context.Context, Read) // nil: nobody wants to know
	// onChanged is CacheOptions.OnChanged.
	onChanged func(name string)
	// db is what functions are wrapped by, of which Open makes more.
	db *DB
	// functions are those that were wrapped.
	functions functions
	// sharing says that there is a second tier.
	sharing bool

	// closing ends with Close. Loads run under it.
	closing context.Context
	close   func()
	loads   loads
	slots   slots
}

// loadMaxDefault is the default of Options.LoadMax.
const loadMaxDefault = 30 * time.Second

// CacheOptions configure a Cache. Of the engine's only Fence is required.
type CacheOptions struct {
	engine.Options
	// Resolve returns the tags that stand for a dependency of a wrapped function's
	// load: for a table those of its rows or of the whole, with the tag of its
	// schema. There are none for what is not watched, nor for what was not watched yet
	// in the state that label.Lower describes. Watched makes it of a follower's State.
	// nil: nothing is watched, and wrapped functions load every time.
	Resolve func(d Dependency, label fence.Label) Resolution
	// Logger is told once of what keeps a function's answers out of the cache, or out
	// of the second tier. It is never told a value. nil: nobody is.
	Logger *slog.Logger
	// LoadMax is the longest time a load of a wrapped function may take once its
	// callers have gone. 0 means 30 s.
	LoadMax time.Duration
	// LoadsMax is Options.LoadsMax. 0 means that there is no bound.
	LoadsMax int
	// OnRead is Options.OnRead.
	OnRead func(context.Context, Read)
	// OnChanged is told, at a hit, the name of a function of which a caller has changed
	// the value that all share. Each value is digested for it when it is kept and at each
	// hit: it is for tests. nil: nobody looks.
	OnChanged func(name string)
}

// New returns an empty cache. Run must be running for entries to reach the
// second tier, and Close frees what New took.
func New(o CacheOptions) (*Cache, error) {
	if o.LoadMax < 0 || o.LoadsMax < 0 {
		return nil, errors.New("make cache: LoadMax or LoadsMax is negative, use 0 for its default")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LoadMax == 0 {
		o.LoadMax = loadMaxDefault
	}
	tiers, err := engine.New(o.Options)
	if err != nil {
		return nil, err
	}
	c := &Cache{engine: tiers, resolver: o.Resolve, logger: o.Logger, loadMax: o.LoadMax, entryMax: tiers.EntryMax(), onRead: o.OnRead, onChanged: o.OnChanged, sharing: o.Remote != nil, slots: newSlots(o.LoadsMax)}
	c.db = bare(c)
	closing, end := context.WithCancelCause(context.Background())
	c.closing, c.close = closing, func() { end(ErrClosed) }
	return c, nil
}

// bare returns the DB of a cache that was not opened on a database.
func bare(c *Cache) *DB {
	db := &DB{behind: nothing{}, cache: c, engine: c.engine, logger: c.logger, ready: make(chan struct{})}
	db.closing, db.close = context.WithCancel(context.Background())
	db.becomeReady()
	return db
}

// DB returns what functions can be wrapped by that name themselves what they depend on
// (Policy.DependsOn). There is no database behind it that could be read through it.
func (c *Cache) DB() *DB { return c.db }

// Run publishes entries to the second tier until ctx ends or the cache is closed,
// and then returns nil. It may be called once.
func (c *Cache) Run(ctx context.Context) error { return c.engine.Run(ctx) }

// Close ends the loads of wrapped functions, waits for them, and forgets the
// first tier. A closed cache finds nothing and keeps nothing; wrapped functions
// go on and load every time. Run returns too. Close may be called more than once.
func (c *Cache) Close() {
	c.close()
	c.loads.wait()
	c.engine.Close()
}

// Token returns a text that stands for everything acknowledged before the call.
// A session of any process that follows the same database, to which it is given
// (fence.ParseHead, Session.SetAfter; SET freshet.after on the wire), is shown
// nothing older. It waits for a look, and fails if none comes in time.
func (c *Cache) Token(ctx context.Context) (string, error) { return c.engine.Token(ctx) }

// loads counts the running loads of wrapped functions, so that Close can wait.
type loads struct {
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// begin reports whether a load may run. If so, running.Done must be called.
func (l *loads) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	return true
}

func (l *loads) wait() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.running.Wait()
}
