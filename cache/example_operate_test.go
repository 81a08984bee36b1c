package cache_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
)

// What is read from Postgres each time, and why, stands in the log.
func ExampleRead() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes}))

	db, err := cache.Open(ctx, pool, cache.Options{
		Logger: slog.Default(), // what an operator should know, and never a value
		OnRead: func(ctx context.Context, r cache.Read) {
			if r.Outcome == cache.OutcomeNotKept || r.Outcome == cache.OutcomeFailed {
				logger.WarnContext(ctx, "not from the cache", "read", r)
			}
		},
	})
	if err != nil {
		log.Panic(err)
	}
	defer db.Close()
	<-db.Ready()
	if err := db.QueryRow(ctx, "SELECT 1 FROM products WHERE id = 1 AND now() > '2020-01-01'").Scan(new(int)); err != nil {
		log.Panic(err)
	}
	name := "tea"
	if err := db.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", 1).Scan(&name); err != nil {
		log.Panic(err)
	}
	fmt.Println(name)
}

// What no table holds has a tag of its own, which whoever changes it moves.
func ExampleTag() {
	ctx := context.Background()
	db, done := open(ctx)
	defer done()
	<-db.Ready()
	cents := 110 // somewhere else

	rate := cache.Wrap(db, "rate", func(context.Context, string) (int, error) { return cents, nil },
		cache.Policy[string, int]{DependsOn: func(string, int) []cache.Dependency {
			return []cache.Dependency{cache.Tag("rates")}
		}})

	before, err := rate(ctx, "EUR")
	if err != nil {
		log.Panic(err)
	}
	cents = 120
	if err := cache.Invalidate(ctx, db, "rates"); err != nil { // or SELECT freshet.touch('rates')
		log.Panic(err)
	}
	after, err := rate(ctx, "EUR")
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(before, after)
}

// Processes share what they have loaded by way of Redis.
func ExampleOptions() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()

	store, err := redis.New(ctx, redis.Options{URL: os.Getenv("REDIS_URL"), Logger: slog.Default()})
	if err != nil {
		log.Panic(err)
	}
	defer store.Close()
	db, err := cache.Open(ctx, pool, cache.Options{
		Watch:    []string{"public.*"},
		Remote:   store,
		Compress: true,
		Memory:   256 << 20,
	})
	if err != nil {
		log.Panic(err)
	}
	defer db.Close()

	var name string
	if err := db.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", 2).Scan(&name); err != nil {
		log.Panic(err)
	}
	fmt.Println(name)
}

// withoutTimes leaves out of a log what differs each time.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Value.Kind() == slog.KindDuration {
		return slog.Attr{}
	}
	return a
}
