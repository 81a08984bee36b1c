package cache_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
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

// withoutTimes leaves out of a log what differs each time.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Value.Kind() == slog.KindDuration {
		return slog.Attr{}
	}
	return a
}
