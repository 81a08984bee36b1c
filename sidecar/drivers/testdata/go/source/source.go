// Package source opens what a program reads and writes: PostgreSQL, or the library before
// it. Which, and where PostgreSQL is, stands in the environment.
package source

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/freshet/freshet/cache"
)

// Variable names what a program uses: nothing for its driver's own connections, a pool, or
// the library on that pool.
const Variable, Pool, Library = "FRESHET_SOURCE", "pool", "library"

// DB is what a pool and the library have in common.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Source is one that is open.
type Source struct {
	pool    *pgxpool.Pool
	library *cache.DB // nil: the pool is read directly
}

// Chosen reports whether a source is asked for.
func Chosen() bool { return os.Getenv(Variable) != "" }

// readyMax is how long the library may take to be ready.
const readyMax = time.Minute

// Open opens the source that is asked for.
func Open(ctx context.Context) *Source {
	pool, err := pgxpool.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	s := &Source{pool: pool}
	if os.Getenv(Variable) != Library {
		return s
	}
	s.library, err = cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-s.library.Ready():
	case <-time.After(readyMax):
		log.Fatal("the library is not ready")
	}
	return s
}

// DB returns the source for pgx.
func (s *Source) DB() DB {
	if s.library != nil {
		return s.library
	}
	return s.pool
}

// SQL returns the source for database/sql.
func (s *Source) SQL() *sql.DB {
	if s.library != nil {
		return cache.OpenSQL(s.library)
	}
	return stdlib.OpenDBFromPool(s.pool)
}

// Close closes the source.
func (s *Source) Close() {
	if s.library != nil {
		s.library.Close()
	}
	s.pool.Close()
}

// Stranger writes where the program does not see it.
func (s *Source) Stranger(ctx context.Context, text string, args ...any) {
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, text, args...); err != nil {
		log.Fatal(err)
	}
	if s.library != nil {
		cache.Wrote(ctx, s.library)
	}
}

const (
	// writesOfRace is how many writes a race has, and readersOfRace how many read meanwhile.
	writesOfRace  = 60
	readersOfRace = 4
)

// Race writes 1, 2, 3 and so on while others read, and a stranger writes at the same time.
// It prints how many read less than was acknowledged when they began.
func (s *Source) Race(ctx context.Context, write func(n int) error, read func() (int, error)) {
	var acknowledged, stale atomic.Int64
	var readers sync.WaitGroup
	ended := make(chan struct{})
	for range readersOfRace {
		readers.Go(func() {
			for {
				least := acknowledged.Load()
				n, err := read()
				if err != nil {
					log.Fatal(err)
				}
				if int64(n) < least {
					stale.Add(1)
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for n := range writesOfRace {
		if n%10 == 9 {
			s.Stranger(ctx, "UPDATE item SET stock = $1 WHERE id = 2", n)
		} else if err := write(n); err != nil {
			log.Fatal(err)
		}
		acknowledged.Store(int64(n))
	}
	close(ended)
	readers.Wait()
	fmt.Println(stale.Load(), "stale")
}

// Show prints the error, or what was read.
func Show(err error, values ...any) {
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		fmt.Println("error", refused.Code, refused.Message, refused.ConstraintName)
	case err != nil:
		fmt.Println("error", err)
	default:
		fmt.Println(values...)
	}
}
