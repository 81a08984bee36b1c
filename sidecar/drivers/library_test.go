package drivers

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/freshet/freshet/cache"
)

// libraryHitMin is the part of its repeated reads that the library must keep away from
// Postgres, while it gets to know them.
var libraryHitMin = map[string]float64{"gorm": 0.9, "bun": 0.9, "sqlc": 0.9, "sqlx": 0.85, "ent": 0.9}

// TestProgramsThroughTheLibrary runs mappers on a pool, and on the library before that pool:
// they print the same, and read nothing that is older than what was acknowledged, by
// themselves or by others.
func TestProgramsThroughTheLibrary(t *testing.T) {
	t.Parallel()
	for program, hitMin := range libraryHitMin {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			b := newBareBed(t, "schema.sql")
			want, reads := b.readsBy(program, "pool")
			got, reached := b.readsBy(program, "library")
			if got != want {
				t.Errorf("the output differs:\n%s", difference(want, got))
			}
			if !strings.Contains(got, "\n0 stale\n") {
				t.Errorf("it reads what is stale:\n%s", got)
			}
			t.Logf("%d of %d repeated reads reached Postgres", reached, reads)
			if reads < readsMin || float64(reached) > (1-hitMin)*float64(reads) {
				t.Errorf("%d of %d repeated reads reached Postgres, want %v away from it", reached, reads, hitMin)
			}
		})
	}
}

// readsBy runs a program on a source, and returns what it prints and how often Postgres
// read the table setting meanwhile.
func (b *bed) readsBy(program, source string) (printed string, reads int64) {
	b.t.Helper()
	mappers, err := mappers()
	if err != nil {
		b.t.Fatal(err)
	}
	b.execFile("reset.sql")
	at := b.at()
	at.source = source
	before := b.scans("setting")
	printed = output(b.t, at, "", mappers, program)
	return printed, b.scans("setting") - before
}

// TestDriversThroughTheLibrary runs what is tried with pgx and its driver for database/sql
// on a pool, and on the library before that pool: twice, and the second time it knows the statements.
func TestDriversThroughTheLibrary(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T, pool *pgxpool.Pool, db *cache.DB) string{
		"pgx": func(t *testing.T, pool *pgxpool.Pool, db *cache.DB) string {
			p := &pgxProgram{ctx: t.Context(), db: pool}
			if db != nil {
				p.db = db
			}
			p.runPooled()
			return p.text.String()
		},
		"database/sql": func(t *testing.T, pool *pgxpool.Pool, db *cache.DB) string {
			p := &sqlProgram{ctx: t.Context()}
			if db != nil {
				p.db = cache.OpenSQL(db)
			} else {
				p.db = stdlib.OpenDBFromPool(pool)
			}
			defer p.db.Close()
			p.run()
			return p.text.String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBareBed(t, "schema.sql")
			pool := b.pool()
			b.execFile("reset.sql")
			want := run(t, pool, nil)
			db, late := b.library(pool)
			pass := func(name string) (hits, tooLate uint64) {
				t.Helper()
				b.execFile("reset.sql")
				cache.Wrote(t.Context(), db)
				before, lateBefore := db.Stats().Hits, late.Load()
				if got := run(t, pool, db); got != want {
					t.Errorf("%s: the output differs:\n%s", name, difference(want, got))
				}
				return db.Stats().Hits - before, late.Load() - lateBefore
			}
			hits, tooLate := pass("first")
			if hits+tooLate < uint64(readsMin) {
				t.Errorf("first: %d hits, and %d reads that the machine was too slow for, want %d at least", hits, tooLate, readsMin)
			}
			for range warmTriesMax {
				if hits, tooLate = pass("second"); hits >= uint64(readsMin) {
					break
				}
			}
			if hits < uint64(readsMin) {
				t.Errorf("second: %d hits, want %d at least; the machine was too slow for %d reads", hits, readsMin, tooLate)
			}
		})
	}
}

// pool opens a pool on Postgres itself.
func (b *bed) pool() *pgxpool.Pool {
	b.t.Helper()
	pool, err := pgxpool.New(b.t.Context(), b.at().dsn())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(pool.Close)
	return pool
}

// library opens the library on a pool. late counts the reads that went to Postgres because a
// statement was not understood, or an entry not proven to be fresh, in the time that a read waits.
func (b *bed) library(pool *pgxpool.Pool) (db *cache.DB, late *atomic.Uint64) {
	b.t.Helper()
	late = new(atomic.Uint64)
	db, err := cache.Open(b.t.Context(), pool, cache.Options{
		Watch: []string{"public.*"},
		OnRead: func(_ context.Context, r cache.Read) {
			if r.Reason == "not_understood_yet" || r.Reason == "unproven" {
				late.Add(1)
			}
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(db.Close)
	select {
	case <-db.Ready():
	case <-time.After(programMax):
		b.t.Fatal("the library is not ready")
	}
	return db, late
}

var _ pgxQuerier = (*cache.DB)(nil)
