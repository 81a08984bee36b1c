package cache

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
)

// Query is pgxpool.Pool.Query, answered from the cache where that is possible.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	o := db.observe(ctx, sql)
	r, c := db.answer(ctx, sql, args, pgxForm)
	if r != nil {
		o.answered(r, c)
		return r, r.early
	}
	all, err := db.behind.Query(ctx, sql, args...)
	return &passedRows{Rows: all, passed: db.passes(ctx, sql), observed: o.passes(c.reason)}, err
}

// QueryRow is pgxpool.Pool.QueryRow, answered from the cache where that is possible.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	o := db.observe(ctx, sql)
	r, c := db.answer(ctx, sql, args, pgxForm)
	if r != nil {
		o.answered(r, c)
		return (*row)(r)
	}
	return &passedRow{row: db.behind.QueryRow(ctx, sql, args...), passed: db.passes(ctx, sql), observed: o.passes(c.reason)}
}

// Exec is pgxpool.Pool.Exec.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	p := db.passes(ctx, sql)
	defer p.end()
	return db.behind.Exec(ctx, sql, args...)
}

// CopyFrom is pgxpool.Pool.CopyFrom.
func (db *DB) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error) {
	readerOf(ctx).load.refuses(refusedWrite)
	p := passed{db: db, session: db.session(readerOf(ctx)), writes: true}
	defer p.end()
	return db.behind.CopyFrom(ctx, table, columns, from)
}

// SendBatch is pgxpool.Pool.SendBatch. Nothing in a batch is answered from the cache.
func (db *DB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	readerOf(ctx).load.refuses(refusedBatch)
	p := passed{db: db, session: db.session(readerOf(ctx)), writes: true}
	for _, q := range b.QueuedQueries {
		p.defines = p.defines || defines(q.SQL)
	}
	return &passedBatch{db.behind.SendBatch(ctx, b), p}
}

// Ping is pgxpool.Pool.Ping.
func (db *DB) Ping(ctx context.Context) error { return db.behind.Ping(ctx) }

// Wrote tells db that its database was written to past it, through its Pool or another
// client of this process: every later read of db shows that, and so does the session of
// ctx. Call it after the write was acknowledged, or failed in a way that leaves doubt. A
// nil db tells the session alone.
func Wrote(ctx context.Context, db *DB) {
	if db == nil {
		if s := sessionOf(ctx); s != nil {
			s.Received(fence.Now())
		}
		return
	}
	passed{db: db, session: db.session(readerOf(ctx)), writes: true, defines: true}.end()
}

// passed is something that Postgres does for a session past the cache. When it has
// ended, however it did, what it may have written is shown to every read that begins
// then:
//
//  1. an UPDATE is acknowledged, and the caller told;
//  2. another goroutine, whom he tells, reads before the event has arrived;
//  3. it is answered from the cache, without the change.
//
// So it is marked before the caller is told. Forced by TestWriteIsShownToTheProcess.
type passed struct {
	db      *DB
	session *fence.Session
	// writes is set if rows may have been written, defines if more than rows.
	writes, defines bool
}

// passes says what a statement may do.
func (db *DB) passes(ctx context.Context, sql string) passed {
	r := readerOf(ctx)
	p := passed{db: db, session: db.session(r), writes: !analysis.ReadsPlainly(sql), defines: defines(sql)}
	if p.writes {
		r.load.refuses(refusedWrite)
	}
	r.load.refuses(refusedPassed)
	return p
}

// defines reports whether a statement may define what no event reports: roles, settings,
// or where there are no event triggers anything. What a function does so is noticed as if
// it had been done elsewhere.
func defines(sql string) bool { return !analysis.BeginsLikeRead(sql) && !analysis.WritesRows(sql) }

// end notes that it has ended.
func (p passed) end() {
	if p.db.follower == nil {
		return // nothing is kept of a database that nobody follows
	}
	if p.defines {
		p.db.follower.Suspect() // before the moment is read: see there
	}
	now := fence.Now()
	if p.writes {
		p.db.fence.MarkAll(now)
	}
	p.session.Received(now)
}

// passedRows are rows of Postgres' own.
type passedRows struct {
	pgx.Rows
	passed
	observed *observing
	ended    bool
}

func (r *passedRows) finish() {
	if !r.ended {
		r.ended = true
		r.end()
		r.observed.end(r.Err())
	}
}

// Close implements pgx.Rows.
func (r *passedRows) Close() {
	r.Rows.Close()
	r.finish()
}

// Next implements pgx.Rows.
func (r *passedRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.finish()
	return false
}

// Scan implements pgx.Rows. An error closes the rows.
func (r *passedRows) Scan(destinations ...any) error {
	err := r.Rows.Scan(destinations...)
	if err != nil {
		r.finish()
	}
	return err
}

// Values implements pgx.Rows. An error closes the rows.
func (r *passedRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.finish()
	}
	return values, err
}

// passedRow is a row of Postgres' own.
type passedRow struct {
	row pgx.Row
	passed
	observed *observing
}

// Scan implements pgx.Row.
func (r *passedRow) Scan(destinations ...any) (err error) {
	defer func() {
		r.end()
		r.observed.end(err)
	}()
	return r.row.Scan(destinations...)
}

// passedBatch are the results of a batch.
type passedBatch struct {
	pgx.BatchResults
	passed
}

// Exec implements pgx.BatchResults.
func (b *passedBatch) Exec() (pgconn.CommandTag, error) {
	defer b.end()
	return b.BatchResults.Exec()
}

// Query implements pgx.BatchResults.
func (b *passedBatch) Query() (pgx.Rows, error) {
	all, err := b.BatchResults.Query()
	return &passedRows{Rows: all, passed: b.passed}, err
}

// QueryRow implements pgx.BatchResults.
func (b *passedBatch) QueryRow() pgx.Row {
	return &passedRow{row: b.BatchResults.QueryRow(), passed: b.passed}
}

// Close implements pgx.BatchResults. What the batch wrote is committed when it returns.
func (b *passedBatch) Close() error {
	defer b.end()
	return b.BatchResults.Close()
}
