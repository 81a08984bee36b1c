package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// Product is a row of public.products.
type Product struct {
	ID    int64
	Name  string
	Price int
}

// Products is a repository, as a program may have it already.
type Products struct{ db *pgx.Conn }

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
	config, err := pgx.ParseConfig(server.DSN("postgres"))
	if err != nil {
		return err
	}
	db, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, `
		CREATE TABLE public.products (id bigint PRIMARY KEY, name text NOT NULL, price integer NOT NULL);
		INSERT INTO public.products VALUES (1, 'tea', 10)`); err != nil {
		return err
	}

	// Once: the triggers. Then a follower, which keeps a fence informed, and a cache.
	if _, err := invalidation.Install(ctx, db, invalidation.Options{Watch: []string{"public.*"}}); err != nil {
		return err
	}
	rules := fence.New(fence.Options{})
	follower, err := invalidation.NewFollower(invalidation.FollowerOptions{ConnConfig: config, Fence: rules})
	if err != nil {
		return err
	}
	c, err := cache.New(cache.CacheOptions{
		Options: engine.Options{Fence: rules, Confirm: follower.Confirm, Wake: follower.Wake}, Resolve: cache.Watched(follower.State),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 2)
	go func() { ended <- follower.Run(running) }()
	go func() { ended <- c.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, <-ended)
	}()
	if err := followed(ctx, rules); err != nil {
		return err
	}

	byID := cache.Wrap(c, "product by id", Products{db}.ByID, cache.Policy[int64, Product]{
		TagsFromKey: func(id int64) []cache.Dependency {
			return []cache.Dependency{cache.Row("public.products", "id", id)}
		},
	})
	ctx = cache.WithSession(ctx)
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
	cache.Wrote(ctx, nil)
	return show()
}

// followed waits for the follower's first look.
func followed(ctx context.Context, rules *fence.Fence) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for rules.Head() == nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the first look: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}
