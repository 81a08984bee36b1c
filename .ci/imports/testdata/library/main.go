// Command library is the README's program: one row from the cache, and a wrapped function.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		log.Panic(err)
	}
	defer db.Close()
	product := cache.Wrap(db, "product", func(ctx context.Context, id int64) (name string, err error) {
		err = db.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", id).Scan(&name)
		return name, err
	})
	name, err := product(ctx, 1)
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(name)
}
