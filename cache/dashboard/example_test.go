package dashboard_test

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/dashboard"
)

// A service shows what its library does on an address of its own.
func ExampleNew() { program(func(string) {}) }

// program serves the page until done, which is told its address, returns.
func program(done func(url string)) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()
	times := &dashboard.Times{}
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}, OnRead: times.OnRead})
	if err != nil {
		log.Panic(err)
	}
	defer db.Close()

	page := dashboard.New(db, dashboard.Options{Name: "shop", Times: times, Explain: true})
	defer page.Close()
	mux := http.NewServeMux()
	mux.Handle("/freshet/", http.StripPrefix("/freshet", page))

	listener, err := net.Listen("tcp", "127.0.0.1:0") // an address that only operators reach
	if err != nil {
		log.Panic(err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer server.Close()
	go func() { _ = server.Serve(listener) }()

	<-db.Ready()
	product := cache.Wrap(db, "product", func(ctx context.Context, id int) (name string, err error) {
		return name, db.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", id).Scan(&name)
	})
	for range 100 {
		if _, err := product(ctx, 1); err != nil {
			log.Panic(err)
		}
		if err := db.QueryRow(ctx, "SELECT extract(year FROM now())::int").Scan(new(int)); err != nil {
			log.Panic(err)
		}
	}
	if _, err := db.Exec(ctx, "UPDATE products SET name = 'green tea' WHERE id = 1"); err != nil {
		log.Panic(err)
	}
	done("http://" + listener.Addr().String() + "/freshet/")
}
