package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

// library is a program in Go that reads and writes through a cache.DB of its own, which
// shares Redis with the sidecars and reaches PostgreSQL through a link, as they do. Its
// clients are sessions of one process: each is a cache.Session for as long as another's
// connection lasts.
type library struct {
	world *world
	door  int // behind those of the sidecars
	store *redis.Store

	mu sync.Mutex
	// db reads through pool, which was opened in epoch. All three are nil before the
	// first client comes.
	db    *cache.DB
	pool  *pgxpool.Pool
	epoch *epoch
	// hits are those of the DBs that were closed.
	hits uint64
}

// errEpochOver keeps a pool from connecting to the database of another epoch: a write that
// was called in one must not be committed in the next (see epoch, 3).
var errEpochOver = errors.New("the database has lost commits since the pool was opened")

// launchLibrary makes a library with its link. Its DB is opened by its first client.
func (w *world) launchLibrary(ctx context.Context, number int) (*library, error) {
	l := &library{world: w, door: w.options.Sidecars + number}
	if err := os.Mkdir(w.fleet.linkDir(l.door), 0o700); err != nil {
		return nil, fmt.Errorf("create a directory for a socket: %w", err)
	}
	link, err := newLink(w.fleet.linkDir(l.door), w.fleet.primarySocket())
	if err != nil {
		return nil, err
	}
	w.fleet.links = append(w.fleet.links, link)
	if l.store, err = redis.New(ctx, redis.Options{URL: w.fleet.redis.URL()}); err != nil {
		return nil, err
	}
	return l, nil
}

// dsn leads through the library's link.
func (l *library) dsn(user string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", l.world.fleet.linkDir(l.door), upstreamPort, user, database)
}

// open returns the DB of an epoch.
func (l *library) open(ctx context.Context, e *epoch) (*cache.DB, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db != nil && l.epoch == e {
		return l.db, nil
	}
	l.closeLocked()
	config, err := pgxpool.ParseConfig(l.dsn("postgres"))
	if err != nil {
		return nil, err
	}
	config.MaxConns = libraryClients
	config.AfterConnect = func(context.Context, *pgx.Conn) error {
		if l.world.epoch.Load() != e {
			return errEpochOver
		}
		return nil
	}
	follow, err := pgx.ParseConfig(l.dsn(servers.Follower))
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	db, err := cache.Open(ctx, pool, cache.Options{Follow: follow, Remote: l.store, Staleness: l.world.options.Bound})
	if err != nil {
		pool.Close()
		return nil, err
	}
	l.db, l.pool, l.epoch = db, pool, e
	return db, nil
}

// close ends what runs. Nobody may use the library afterwards.
func (l *library) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeLocked()
	_ = l.store.Close() // it holds nothing that could be lost
}

func (l *library) closeLocked() {
	if l.db == nil {
		return
	}
	l.hits += l.db.Stats().Hits
	l.db.Close()
	l.pool.Close()
	l.db, l.pool, l.epoch = nil, nil, nil
}

// member is a client's part in a library: the DB and the session in it.
type member struct {
	db  *cache.DB
	ctx context.Context
}

// join begins a session in the library's DB of an epoch.
func (l *library) join(ctx context.Context, s *session, e *epoch) (*member, error) {
	db, err := l.open(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("open the library: %w", err)
	}
	of := cache.WithSession(context.Background())
	switch s.level {
	case levelBounded:
		of = cache.WithLevel(of, cache.Bounded)
	case levelStrong:
		of = cache.WithLevel(of, cache.Strong)
	}
	if s.bound != s.world.options.Bound {
		of = cache.WithStaleness(of, s.bound)
	}
	return &member{db, of}, nil
}

// one is session.one.
func (m *member) one(sql string, arguments, into []any) error {
	ctx, cancel := context.WithTimeout(m.ctx, callWaitMax)
	defer cancel()
	return m.db.QueryRow(ctx, sql, arguments...).Scan(into...)
}

// rows is session.rows.
func (m *member) rows(sql string, arguments, into []any, each func()) error {
	ctx, cancel := context.WithTimeout(m.ctx, callWaitMax)
	defer cancel()
	found, err := m.db.Query(ctx, sql, arguments...)
	if err == nil {
		_, err = pgx.ForEachRow(found, into, func() error { each(); return nil })
	}
	return err
}

const (
	// libraries is how many programs use the library, and libraryClients how many
	// clients each has.
	libraries      = 2
	libraryClients = 6
	// libraryPace is how often each client takes a turn.
	libraryPace = 15 * time.Millisecond
)

// startLibraries starts the programs: their clients read, and some write and read back.
func (w *world) startLibraries(ctx context.Context, start func(func())) error {
	number := firstLibrary
	for i := range libraries {
		l, err := w.launchLibrary(ctx, i)
		if err != nil {
			return err
		}
		w.libraries = append(w.libraries, l)
		for client := range libraryClients {
			s := w.newSession("library", number, l.door, []level{levelSession, levelBounded, levelStrong}[client%3], prepared)
			s.library, s.name = l, fmt.Sprintf("client %d of library %d, %v", client, i, s.level)
			if client == 3 {
				s.bound = w.options.Bound * shorterShare / 100
			}
			number++
			start(func() { w.libraryClient(ctx, s) })
		}
	}
	return nil
}

// writesOfTen is how many of ten turns of a client of the session level are writes.
const writesOfTen = 2

// libraryClient reads, and writes, until ctx ends.
func (w *world) libraryClient(ctx context.Context, s *session) {
	s.turns(ctx, libraryPace, 20, sessionWritesMax, func() {
		if s.level != levelSession || s.random.IntN(10) >= writesOfTen {
			s.readSomething()
			return
		}
		w.hold.RLock()
		defer w.hold.RUnlock()
		if s.ready(ctx) {
			s.writeOne(key{row, s.hot(sharedRows)}, writeRowSQL)
		}
	})
}

// closeLibraries ends the programs, and reports an error if they were answered by
// PostgreSQL alone: then they have shown nothing.
func (w *world) closeLibraries() (err error) {
	hits := uint64(0)
	for _, l := range w.libraries {
		l.close()
		hits += l.hits
	}
	if len(w.libraries) > 0 && hits == 0 {
		err = errors.New("no read of the library was answered from its cache")
	}
	w.logf("the library answered %d reads from memory", hits)
	return err
}
