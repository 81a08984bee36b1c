package cache_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/loadtest/servers"
)

// Product is a row of public.products.
type Product struct {
	ID    int64
	Name  string
	Price int
}

// Products is a repository, as a program may have it already.
type Products struct{ db *cache.DB }

// ByID loads one product.
func (p Products) ByID(ctx context.Context, id int64) (Product, error) {
	fmt.Println("asked Postgres")
	var out Product
	err := p.db.QueryRow(ctx, `SELECT id, name, price FROM public.products WHERE id = $1`, id).
		Scan(&out.ID, &out.Name, &out.Price)
	return out, err
}

// A method of a repository becomes a cached one; a write anywhere ends what was
// cached of the row, and a session sees its own writes at once.
func ExampleWrap() {
	if err := shop(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// asked Postgres
	// tea costs 10
	// tea costs 10
	// asked Postgres
	// tea costs 12
	// tea costs 12
}

func shop(ctx context.Context) (err error) {
	server, err := servers.LaunchPostgres(ctx, servers.PostgresOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	pool, err := pgxpool.New(ctx, server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `
		CREATE TABLE public.products (id bigint PRIMARY KEY, name text NOT NULL, price integer NOT NULL);
		INSERT INTO public.products VALUES (1, 'tea', 10)`); err != nil {
		return err
	}
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		return err
	}
	defer db.Close()
	<-db.Ready()

	byID := cache.Wrap(db, "product by id", Products{db}.ByID)
	show := func() error {
		for range 2 {
			p, err := byID(ctx, 1)
			if err != nil {
				return err
			}
			fmt.Println(p.Name, "costs", p.Price)
		}
		return nil
	}
	if err := show(); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, `UPDATE public.products SET price = 12 WHERE id = 1`); err != nil {
		return err
	}
	return show()
}
