package cache_test

import (
	"context"
	"math"
	"testing"

	"github.com/jackc/pgx/v5"
)

// querier is what DB and the pool have in common for these.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type author struct {
	ID   int64
	Name string
	Bio  *string
}

func readOne(tb testing.TB, ctx context.Context, from querier) {
	var a author
	if err := from.QueryRow(ctx, "SELECT id, name, bio FROM public.authors WHERE id = $1", 7).Scan(&a.ID, &a.Name, &a.Bio); err != nil || a.ID != 7 {
		tb.Fatalf("%+v, %v", a, err)
	}
}

func readHundred(tb testing.TB, ctx context.Context, from querier) {
	rows, err := from.Query(ctx, "SELECT id, name, bio FROM public.authors WHERE id <= $1", 100)
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	var a author
	for rows.Next() {
		if err := rows.Scan(&a.ID, &a.Name, &a.Bio); err != nil {
			tb.Fatal(err)
		}
		n++
	}
	if rows.Err() != nil || n != 100 {
		tb.Fatalf("%d rows, %v", n, rows.Err())
	}
}

// A hit allocates at most seven times, the destinations and arguments of its caller
// among them.
func TestHitAllocates(t *testing.T) {
	o := openDB(t, shopSchema, nil)
	ctx := t.Context()
	readOne(t, ctx, o)
	least := math.Inf(1) // what is kept for the next read may have been thrown away before one
	hits := o.hits(t, func() {
		for range 100 {
			least = min(least, testing.AllocsPerRun(1, func() { readOne(t, ctx, o) }))
		}
	})
	if least > 7 || hits < 200 {
		t.Errorf("%v allocations, want 7 at most; %d hits of 200", least, hits)
	}
}
