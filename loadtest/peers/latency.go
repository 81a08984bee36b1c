package main

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/loadtest/servers"
)

// latencies prints what a hit in memory costs: of bare tiers, which promise nothing of
// freshness, of Freshet's tier, and of a wrapped function, which proves it each time.
func latencies(ctx context.Context, to io.Writer) error {
	wrapped, stop, err := wrappedHit(ctx)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(to, "\nA hit in memory: ns alone, ns beside another reader, allocations\n\n")
	const room, average = 1 << 20, 1000
	for _, m := range tiers {
		in := m.make(room, average)
		for key := range uint32(hitKeys) {
			in.set(key, average, time.Millisecond)
		}
		name := m.name
		if name == "Freshet" {
			name = "Freshet's tier"
		}
		time.Sleep(10 * time.Millisecond) // some set later
		report(to, name, func(i uint32) { in.get(i % hitKeys) })
		in.close()
	}
	report(to, "Freshet, Wrap", wrapped)
	report(to, "a reading of the clock", func(uint32) { time.Now() })
	return nil
}

const hitKeys = 64

func report(to io.Writer, name string, hit func(i uint32)) {
	alone := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			hit(uint32(i))
		}
	})
	beside := testing.Benchmark(func(b *testing.B) {
		b.RunParallel(func(next *testing.PB) {
			for i := uint32(0); next.Next(); i++ {
				hit(i)
			}
		})
	})
	fmt.Fprintf(to, "%-24s %8.1f %8.1f %4d\n", name,
		float64(alone.T.Nanoseconds())/float64(alone.N), float64(beside.T.Nanoseconds())/float64(beside.N), alone.AllocsPerOp())
}

// wrappedHit returns a wrapped function whose keys are all in memory.
func wrappedHit(ctx context.Context) (hit func(i uint32), stop func(), err error) {
	postgres, err := servers.LaunchPostgres(ctx, servers.PostgresOptions{})
	if err != nil {
		return nil, nil, err
	}
	pool, err := pgxpool.New(ctx, postgres.DSN("postgres"))
	if err != nil {
		return nil, nil, err
	}
	if _, err := pool.Exec(ctx, "CREATE TABLE public.prices (id int PRIMARY KEY, cents int); INSERT INTO public.prices SELECT i, i FROM generate_series(0, 100) i"); err != nil {
		return nil, nil, err
	}
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		return nil, nil, err
	}
	<-db.Ready()
	price := cache.Wrap(db, "price", func(ctx context.Context, id uint32) (cents int, err error) {
		err = db.QueryRow(ctx, "SELECT cents FROM public.prices WHERE id = $1", int32(id)).Scan(&cents)
		return cents, err
	})
	hit = func(i uint32) { _, _ = price(ctx, i%hitKeys) }
	for i := range uint32(hitKeys) {
		hit(i)
	}
	return hit, func() {
		db.Close()
		pool.Close()
		_ = postgres.Close()
	}, nil
}
