package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
)

// openWaitMax is how long Open waits for the first look.
const openWaitMax = 3 * time.Second

// Options configure a DB. The zero value watches what is installed, and keeps answers
// in the memory of this process.
type Options struct {
	// Watch holds patterns of tables: "public.*", "shop.orders", "users(id, email)" (see
	// invalidation.Options.Watch). What they match and is not watched yet is installed,
	// tables that are made later too; who may not, is told by Stats. Empty: what is
	// installed is watched.
	Watch []string
	// Follow leads to the primary itself, where the pool goes through a pooler that
	// hands out connections for a transaction, or as a role that may install or follow
	// where the pool's may not. nil: as the pool.
	Follow *pgx.ConnConfig
	// Remote is a second tier that processes share, a *redis.Store for instance, and
	// stays the caller's. nil: there is none.
	Remote engine.Remote
	// Compress and Keys are engine.Options.Compress and Keys: of what Remote is given.
	Compress bool
	Keys     [][]byte

	// Memory bounds the first tier, in bytes. 0 means 64 MiB.
	Memory int64
	// EntryMax is the largest answer that is kept, in bytes. 0 means 1 MiB.
	EntryMax int
	// TTL is the longest life of an answer, less up to a tenth at random. 0 means 1 h.
	TTL time.Duration
	// Staleness is how old a commit of another process may be that is not shown yet. 0
	// means 1 s. Usually it is shown within a few milliseconds.
	Staleness time.Duration
	// LoadMax is the longest time a load of a wrapped function may take once its
	// callers have gone. 0 means 30 s.
	LoadMax time.Duration
	// LoadsMax is how many loads of wrapped functions may be under way at once. Who comes
	// then waits, until his context ends or for LoadMax (ErrOverloaded). What a load asks
	// for in its own context is part of it; a load that asks in another one waits like
	// everybody; one of a function with Policy.Elsewhere does not count. 0 means as many as
	// the pool has connections.
	LoadsMax int

	// Functions are the functions of the database that statements may call and be
	// cached: see analysis.Function.
	Functions []analysis.Function
	// Scope says what the pool's PrepareConn or BeforeAcquire sets a connection up by,
	// a tenant for instance: answers of one scope are no answers of another. It is called
	// for each read and must be quick. Open refuses a pool that has such a hook without it.
	Scope func(context.Context) string
	// OnRead is told of each read when it has ended, by the goroutine of the reader, who
	// waits for it: it must be quick, and may be called from many at once. ctx is the
	// reader's. nil: reads cost nothing more.
	OnRead func(ctx context.Context, r Read)
	// Logger is told what an operator should know, and never a value. nil: nobody is.
	Logger *slog.Logger
}

// Open returns a DB through which the database of pool is read with a cache in
// between. It follows what changes, in goroutines of its own that end with DB.Close;
// pool stays the caller's, who closes it afterwards.
//
// It waits for the first look until ctx ends, at most 3 s. After that, or while
// Postgres is out of reach, every read goes to Postgres, and it goes on trying: only
// what can never work is an error (a standby, a version of Postgres that is not
// supported, no right to install where nothing is, a hook without Options.Scope).
func Open(ctx context.Context, pool *pgxpool.Pool, o Options) (*DB, error) {
	if pool == nil {
		return nil, errors.New("open cache: the pool is nil")
	}
	db, err := newDB(pool, o)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, openWaitMax)
	defer cancel()
	if err := db.preflight(waiting, o.Watch); err != nil {
		db.free()
		return nil, fmt.Errorf("open cache: %w", err)
	}
	db.start()
	select {
	case <-db.Ready():
	case <-waiting.Done():
		db.logger.Warn("every read goes to Postgres until the first look", "problem", db.follower.Stats().LastError)
	}
	return db, nil
}

// newDB puts the parts together. Nothing runs yet.
func newDB(pool *pgxpool.Pool, o Options) (*DB, error) {
	config := pool.Config()
	//lint:ignore SA1019 pools that have it must be refused as those with PrepareConn
	if o.Scope == nil && (config.PrepareConn != nil || config.BeforeAcquire != nil) {
		return nil, errors.New("the pool has a hook that prepares its connections (PrepareConn or BeforeAcquire): set Options.Scope to what that depends on, such as the tenant, or one would be given the answers of another")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{
		pool: pool, behind: pool, config: config, follow: o.Follow, scope: o.Scope, logger: o.Logger, fence: fence.New(fence.Options{}),
		tracer: config.ConnConfig.Tracer, ready: make(chan struct{}), changed: make(chan struct{}, 1), questions: make(chan question, questionsMax),
	}
	if mode := config.ConnConfig.DefaultQueryExecMode; mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol {
		db.undescribed = true
		db.logger.Warn("every read goes to Postgres: pgx describes no statement in the pool's DefaultQueryExecMode", "mode", mode.String())
	}
	db.prepares = config.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
	db.book.Store(newBook())
	db.closing, db.close = context.WithCancel(context.Background())
	if err := db.build(o); err != nil {
		db.free()
		return nil, err
	}
	return db, nil
}

// restAfter is after how long without reads looks for changes stop.
const restAfter = time.Minute

// followed says how the follower and the analysis connect.
func (db *DB) followed() (config *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error) {
	if db.follow != nil {
		return plainConfig(db.follow), nil
	}
	return plainConfig(db.config.ConnConfig), db.config.BeforeConnect
}

// plainConfig is config without what is meant for the program's own connections.
func plainConfig(config *pgx.ConnConfig) *pgx.ConnConfig {
	plain := config.Copy()
	plain.Tracer, plain.OnNotice, plain.OnNotification = nil, nil, nil
	plain.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	plain.StatementCacheCapacity = max(plain.StatementCacheCapacity, 64)
	return plain
}

func (db *DB) build(o Options) (err error) {
	config, before := db.followed()
	options := CacheOptions{
		Options: engine.Options{
			Fence: db.fence, Confirm: func(ctx context.Context, at fence.Instant) error { return db.follower.Confirm(ctx, at) },
			Ended:  func(_ uint64, moved fence.Tag, tags []fence.Tag) { db.follower.NoteEnded(moved, tags) },
			Remote: o.Remote, Compress: o.Compress, Keys: o.Keys,
			MemoryBytes: o.Memory, EntryMax: o.EntryMax, TTL: o.TTL, Staleness: o.Staleness,
		},
		Resolve: Watched(func() *invalidation.State { return db.follower.State() }),
		Logger:  o.Logger.With("part", "cache"), LoadMax: o.LoadMax, LoadsMax: cmp.Or(o.LoadsMax, int(db.config.MaxConns)), OnRead: o.OnRead,
	}
	if db.cache, err = New(options); err != nil {
		return err
	}
	db.engine, db.cache.db = db.cache.engine, db
	db.follower, err = invalidation.NewFollower(invalidation.FollowerOptions{
		ConnConfig: config, BeforeConnect: before, Fence: db.fence, Watch: o.Watch,
		// An entry must not outlive the events that could end it.
		Retention: max(o.TTL, time.Hour),
		// Where definitions are compared, reads are fresh for this much less.
		Definitions: db.engine.Staleness() / 2,
		RestAfter:   restAfter,
		// The cache is made after the follower, and before the follower runs.
		Reads:    func() uint64 { return db.cache.engine.Reads() },
		OnSchema: db.schemaChanged,
		Logger:   o.Logger.With("part", "follower"),
	})
	if err != nil {
		return err
	}
	db.analyzer, err = analysis.New(analysis.Options{
		ConnConfig: config, BeforeConnect: before, Watch: analysis.WatchedBy(db.follower), Functions: o.Functions,
		Logger: o.Logger.With("part", "analysis"),
	})
	return err
}

// preflight finds out whether what Open is for can ever work here. What cannot be found
// out now is no error.
func (db *DB) preflight(ctx context.Context, watch []string) error {
	config, before := db.followed()
	problem, err := invalidation.Unusable(ctx, config, before, len(watch) > 0)
	if err != nil {
		db.logger.Warn("Postgres cannot be asked yet whether it can be followed", "error", err)
		return nil
	}
	return problem
}
