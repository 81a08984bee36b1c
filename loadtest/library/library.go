// Package library is a program in Go that uses the library as its users do: a pool, a
// cache.DB on it, a handle of database/sql on that, wrapped functions, and sessions of one
// process. The checker drives it, and shares no code
// with what it drives.
package library

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
)

// Options say what a program reads, and how. All but Connected are required.
type Options struct {
	// Pool and Follow are connection strings: of the program's own role, and of the one
	// that follows.
	Pool, Follow string
	// Redis is the URL of the second tier.
	Redis string
	// Staleness is cache.Options.Staleness.
	Staleness time.Duration
	// ConnsMax is the most connections of the pool.
	ConnsMax int32
	// Connected may refuse a new connection of the pool. nil: none is refused.
	Connected func() error
}

// Program is one that runs. Its methods may be called concurrently.
type Program struct {
	store  *redis.Store
	pool   *pgxpool.Pool
	db     *cache.DB
	handle *sql.DB // of db
	ways   [Every]reader
}

// Start starts a program. It is ready when its DB is: until then it reads from Postgres.
func Start(ctx context.Context, o Options) (*Program, error) {
	config, err := pgxpool.ParseConfig(o.Pool)
	if err != nil {
		return nil, fmt.Errorf("read the pool's connection string: %w", err)
	}
	config.MaxConns = o.ConnsMax
	if o.Connected != nil {
		config.AfterConnect = func(context.Context, *pgx.Conn) error { return o.Connected() }
	}
	follow, err := pgx.ParseConfig(o.Follow)
	if err != nil {
		return nil, fmt.Errorf("read the follower's connection string: %w", err)
	}
	p := &Program{}
	if p.store, err = redis.New(ctx, redis.Options{URL: o.Redis}); err != nil {
		return nil, err
	}
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		p.Close()
		return nil, fmt.Errorf("make the pool: %w", err)
	}
	if p.db, err = cache.Open(ctx, p.pool, cache.Options{Follow: follow, Remote: p.store, Staleness: o.Staleness}); err != nil {
		p.Close()
		return nil, err
	}
	p.handle = cache.OpenSQL(p.db)
	p.ways = [Every]reader{Plain: plain{p.db}, SQL: throughSQL{p.handle}, Wrapped: wrap(p.db)}
	return p, nil
}

// Hits are how many reads were answered from memory: of all, and of those of wrapped
// functions.
func (p *Program) Hits() (all, wrapped uint64) {
	counted := p.db.Stats()
	for _, f := range counted.Functions {
		wrapped += f.Hits
	}
	return counted.Hits, wrapped
}

// ReadStrayed has every connection that the pool has enter a state, reads a row through
// the DB, and has the connections leave the state again. What was read is what the pool
// would have read: nobody is told of it.
func (p *Program) ReadStrayed(ctx context.Context, enter, leave, sql string, arguments ...any) error {
	if err := p.onIdle(ctx, enter); err != nil {
		return err
	}
	rows, err := p.db.Query(ctx, sql, arguments...)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return fmt.Errorf("read on a connection in another state: %w", err)
	}
	return p.onIdle(ctx, leave)
}

// onIdle runs a statement on each connection that the pool has and nobody uses, of which
// there is one at least.
func (p *Program) onIdle(ctx context.Context, sql string) error {
	if err := p.pool.Ping(ctx); err != nil {
		return fmt.Errorf("have a connection: %w", err)
	}
	all := p.pool.AcquireAllIdle(ctx)
	defer func() {
		for _, conn := range all {
			conn.Release()
		}
	}()
	for _, conn := range all {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("run %q on an idle connection: %w", sql, err)
		}
	}
	return nil
}

// Close ends the program, after its reads and writes.
func (p *Program) Close() {
	if p.handle != nil {
		_ = p.handle.Close() // its connections are the pool's
	}
	if p.db != nil {
		p.db.Close()
	}
	if p.pool != nil {
		p.pool.Close()
	}
	_ = p.store.Close() // it holds nothing that could be lost
}

// Session is one of a program's. It belongs to one goroutine.
type Session struct {
	program *Program
	ctx     context.Context
	way     Way
	turn    int
}

// levels are those of sessions, by the words of freshet.consistency.
var levels = map[string]cache.Level{"bounded": cache.Bounded, "strong": cache.Strong}

// Session begins a session of a level, with a staleness of its own, 0 for the program's.
// One that goes every way in turn is none to the library: the process is its session.
func (p *Program) Session(way Way, level string, staleness time.Duration) *Session {
	ctx := context.Background()
	if way != Every {
		ctx = cache.WithSession(ctx)
	}
	if l, named := levels[level]; named {
		ctx = cache.WithLevel(ctx, l)
	}
	if staleness > 0 {
		ctx = cache.WithStaleness(ctx, staleness)
	}
	return &Session{program: p, ctx: ctx, way: way}
}

// One runs a statement that returns one row, for as long as patience.
func (s *Session) One(patience time.Duration, sql string, arguments, into []any) error {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	return s.next().one(ctx, sql, arguments, into)
}

// Rows runs a statement and calls each for every row, with the pointers filled.
func (s *Session) Rows(patience time.Duration, sql string, arguments, into []any, each func()) error {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	return s.next().rows(ctx, sql, arguments, into, each)
}

// next is the way of the next statement.
func (s *Session) next() reader {
	way := s.way
	if way == Every {
		s.turn++
		way = Way(s.turn) % Every
	}
	return s.program.ways[way]
}
