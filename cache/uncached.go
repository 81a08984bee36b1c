package cache

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
)

// Querier is what a DB passes statements on to: a pgxpool.Pool, a stand-in for one in a
// test.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
	Ping(ctx context.Context) error
}

// Uncached returns a DB that passes everything on to q, keeps nothing and follows
// nothing. Functions wrapped with it load every time. It is for unit tests: see
// cachetest.Pass.
func Uncached(q Querier) *DB {
	c, err := New(CacheOptions{Options: engine.Options{Fence: fence.New(fence.Options{Slots: 1}), MemoryBytes: 1}})
	if err != nil {
		panic(err) // of options that do not change
	}
	c.db.behind = q
	return c.db
}

// ErrNoDatabase is what statements get where there is no database behind a DB:
// Cache.DB.
var ErrNoDatabase = errors.New("there is no database behind this DB")

// nothing is behind a DB without a database.
type nothing struct{}

func (nothing) Query(context.Context, string, ...any) (pgx.Rows, error) {
	return failed(ErrNoDatabase), ErrNoDatabase
}

func (nothing) QueryRow(context.Context, string, ...any) pgx.Row {
	return (*row)(failed(ErrNoDatabase))
}

func (nothing) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, ErrNoDatabase
}

func (nothing) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, ErrNoDatabase
}

func (nothing) SendBatch(context.Context, *pgx.Batch) pgx.BatchResults { return noResults{} }

func (nothing) BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error) { return nil, ErrNoDatabase }

func (nothing) Ping(context.Context) error { return ErrNoDatabase }

// noResults are those of a batch that went nowhere.
type noResults struct{}

func (noResults) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, ErrNoDatabase }
func (noResults) Query() (pgx.Rows, error)         { return failed(ErrNoDatabase), ErrNoDatabase }
func (noResults) QueryRow() pgx.Row                { return (*row)(failed(ErrNoDatabase)) }
func (noResults) Close() error                     { return ErrNoDatabase }
func (noResults) Tx() pgx.Tx                       { return nil }
