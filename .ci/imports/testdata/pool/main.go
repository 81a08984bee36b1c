// Command pool reads one row through a pool: what the size of command library is compared
// with.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Panic(err)
	}
	defer pool.Close()
	var name string
	if err := pool.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", 1).Scan(&name); err != nil {
		log.Panic(err)
	}
	fmt.Println(name)
}
