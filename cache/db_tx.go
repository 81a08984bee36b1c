package cache

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Begin is pgxpool.Pool.Begin. Nothing in a transaction is answered from the cache.
func (db *DB) Begin(ctx context.Context) (pgx.Tx, error) { return db.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx is pgxpool.Pool.BeginTx.
func (db *DB) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	readerOf(ctx).load.refuses(refusedTx)
	inner, err := db.behind.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &tx{inner, &passed{db: db, session: db.session(readerOf(ctx)), writes: true}}, nil
}

// tx is a transaction whose end is shown to later reads. What it wrote, the COMMIT
// acknowledges; what it read, its session has seen.
type tx struct {
	pgx.Tx
	*passed
}

// Commit implements pgx.Tx.
func (t *tx) Commit(ctx context.Context) error {
	defer t.end()
	return t.Tx.Commit(ctx)
}

// Rollback implements pgx.Tx.
func (t *tx) Rollback(ctx context.Context) error {
	defer t.end()
	return t.Tx.Rollback(ctx)
}

// Begin implements pgx.Tx: a savepoint, whose end commits nothing.
func (t *tx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner, err := t.Tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &tx{inner, t.passed}, nil
}

// note notes what a statement may do when the transaction commits, and tells the load of
// ctx, if there is one, that it reads what others may not see.
func (t *tx) note(ctx context.Context, sql string) {
	readerOf(ctx).load.refuses(refusedTx)
	t.defines = t.defines || defines(sql)
}

// Exec implements pgx.Tx.
func (t *tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	t.note(ctx, sql)
	return t.Tx.Exec(ctx, sql, args...)
}

// Query implements pgx.Tx.
func (t *tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	t.note(ctx, sql)
	return t.Tx.Query(ctx, sql, args...)
}

// QueryRow implements pgx.Tx.
func (t *tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	t.note(ctx, sql)
	return t.Tx.QueryRow(ctx, sql, args...)
}

// SendBatch implements pgx.Tx.
func (t *tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	for _, q := range b.QueuedQueries {
		t.note(ctx, q.SQL)
	}
	return t.Tx.SendBatch(ctx, b)
}
