package cache

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
)

// DB reads a database as the pool that it was opened with does, with a cache in
// between: what a pgxpool.Pool is used for, it can be used for. Query and QueryRow are
// answered from the cache where that is as fresh as promised, and by the pool
// otherwise; all else is the pool's. Open makes one.
//
// What is kept was read on a connection that was proven, in the same round trip, to be
// in the state in which the pool makes its connections: the role, the search path and
// every setting that can change an answer. Rows from the cache are those that Postgres
// sent; their Conn is nil, tracers see nothing of them, and RawValues must not be
// changed. Nothing in a transaction is answered from the cache.
//
// What is written through a DB, all its later reads show. What is written past it, in
// Pool or by others, they show within Options.Staleness, and usually within
// milliseconds.
type DB struct {
	pool   *pgxpool.Pool   // nil: the DB was not opened
	behind Querier         // pool, if there is one
	config *pgxpool.Config // of pool
	follow *pgx.ConnConfig // Options.Follow
	scope  func(context.Context) string
	logger *slog.Logger
	// undescribed is set if the pool's statements are sent without having been described:
	// what types they have then, Postgres finds out from the values.
	undescribed bool
	// prepares is set if the pool's connections keep prepared statements.
	prepares bool
	tracer   pgx.QueryTracer // nil: none

	cache    *Cache
	engine   *engine.Cache // of cache
	fence    *fence.Fence
	follower *invalidation.Follower
	analyzer *analysis.Analyzer
	// own is the session of reads without one: the whole process.
	own fence.Session

	// book is what was found out about connections and statements, nil once the DB is
	// closed. changed holds an element when there is another one.
	book      atomic.Pointer[book]
	changed   chan struct{}
	questions chan question
	// shapes counts the meanings ever found out.
	shapes atomic.Uint64
	// statements count the reads of each kind.
	statements statements

	// ready is closed when answers can be kept.
	ready     chan struct{}
	readyOnce sync.Once
	// closing ends with Close.
	closing context.Context
	close   context.CancelFunc
	running sync.WaitGroup
}

// start begins what runs until Close.
func (db *DB) start() {
	db.running.Go(func() { _ = db.follower.Run(db.closing) })
	db.running.Go(func() { _ = db.cache.Run(db.closing) })
	db.running.Go(func() { (&scout{db: db}).run(db.closing) })
}

// Close ends loads of wrapped functions and what follows the database, and waits for
// both. Every read goes to the pool then. It may be called more than once.
func (db *DB) Close() {
	db.close()
	db.book.Store(nil)
	db.running.Wait()
	db.free()
}

// free gives back what was made, as far as that came.
func (db *DB) free() {
	db.close()
	if db.cache != nil {
		db.cache.Close()
	}
	if db.analyzer != nil {
		db.analyzer.Close()
	}
}

// Ready is closed when answers are kept for the first time: the database is followed,
// and it is known in which state the pool's connections are. Until then every read goes
// to Postgres.
func (db *DB) Ready() <-chan struct{} { return db.ready }

func (db *DB) becomeReady() { db.readyOnce.Do(func() { close(db.ready) }) }

// Pool returns the pool. What is written with it directly is as if another process
// wrote it: Wrote has it shown at once.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Token returns a text that stands for everything acknowledged before the call, to be
// handed to another process (WithToken, SET freshet.after behind the sidecar), whose
// reads then show at least that. It waits for a look, and fails if none comes in time.
func (db *DB) Token(ctx context.Context) (string, error) { return db.engine.Token(ctx) }

// Stats returns counts that were each right at some moment of the call.
func (db *DB) Stats() Stats {
	s := db.cache.Stats()
	if db.follower == nil {
		return s
	}
	s.Statements = db.statements.stats()
	s.Follower = db.follower.Stats()
	if looked := s.Follower.LookBegan; looked != 0 {
		s.HeadAge = fence.Now().Sub(looked)
	}
	return s
}

// session is that of ctx, or the process. Where nothing can be written through the DB, it
// is none.
func (db *DB) session(r reader) *fence.Session {
	if r.session != nil || db.pool == nil {
		return r.session
	}
	return &db.own
}

// schemaChanged drops what was found out. The follower calls it before it publishes a
// head that includes the change.
func (db *DB) schemaChanged() {
	for old := db.book.Load(); old != nil; old = db.book.Load() {
		if db.book.CompareAndSwap(old, newBook()) {
			break
		}
	}
	db.analyzer.Forget()
	select {
	case db.changed <- struct{}{}:
	default:
	}
}

// awaitHead waits until the database is followed.
func (db *DB) awaitHead(ctx context.Context) bool {
	ticker := time.NewTicker(headPause)
	defer ticker.Stop()
	for db.fence.Head() == nil {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// headPause is the pause between two looks for a first head.
const headPause = 2 * time.Millisecond
