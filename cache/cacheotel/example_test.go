package cacheotel_test

import (
	"context"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/cacheotel"
)

// Reads are measured and traced by whatever the program has set up.
func ExampleNew() { program(func() {}) }

// program reads once, and does something then.
func program(then func()) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()

	telemetry, err := cacheotel.New(otel.GetTracerProvider(), otel.GetMeterProvider())
	if err != nil {
		log.Panic(err)
	}
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}, OnRead: telemetry.OnRead})
	if err != nil {
		log.Panic(err)
	}
	defer db.Close()
	stop, err := telemetry.Observe(db)
	if err != nil {
		log.Panic(err)
	}
	defer stop()

	<-db.Ready()
	if err := db.QueryRow(ctx, "SELECT extract(year FROM now())::int").Scan(new(int)); err != nil {
		log.Panic(err)
	}
	then()
}
