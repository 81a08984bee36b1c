package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// shop is what the tests of DB read.
const shopSchema = `
CREATE TABLE public.authors (id bigint PRIMARY KEY, name text NOT NULL, bio text);
CREATE TABLE public.books (id bigint PRIMARY KEY, author_id bigint NOT NULL, title text NOT NULL);
INSERT INTO public.authors SELECT i, 'author ' || i, CASE WHEN i % 2 = 0 THEN 'bio ' || i END FROM generate_series(1, 200) i;
INSERT INTO public.books SELECT i, i % 20 + 1, 'book ' || i FROM generate_series(1, 400) i;`

// opened is a DB that is ready, and its pool.
type opened struct {
	*cache.DB
	pool *pgxpool.Pool
	dsn  string
}

// openDB opens a database of its own, made by setup, of which all in schema public is watched.
// What tests need alike is made once and copied.
func openDB(t testing.TB, setup string, change func(*pgxpool.Config, *cache.Options)) *opened {
	t.Helper()
	return openOn(t, servers.SharedPostgres(t), setup, change)
}

// openOn is openDB on a server: SharedPostgresOfRoles where setup makes roles.
func openOn(t testing.TB, server *servers.Postgres, setup string, change func(*pgxpool.Config, *cache.Options)) *opened {
	t.Helper()
	return openAt(t, server.DSN(server.FilledDatabase(t, setup, func(dsn string) error { return fill(dsn, setup) })), "", change)
}

// fill has setup make a database, and watches it.
func fill(dsn, setup string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, setup); err != nil {
		return err
	}
	_, err = invalidation.Install(ctx, conn, invalidation.Options{Watch: []string{"public.*"}})
	return err
}

// openBare is openDB where nothing is watched before it is opened.
func openBare(t testing.TB, setup string, change func(*pgxpool.Config, *cache.Options)) *opened {
	t.Helper()
	server := servers.SharedPostgres(t)
	return openAt(t, server.DSN(server.CreateDatabase(t)), setup, change)
}

// openAt opens the database of a DSN, in which setup is run first.
func openAt(t testing.TB, dsn, setup string, change func(*pgxpool.Config, *cache.Options)) *opened {
	t.Helper()
	o := &opened{dsn: dsn}
	t.Cleanup(o.forget) // after all else that cleans up
	config, err := pgxpool.ParseConfig(o.dsn)
	if err != nil {
		t.Fatal(err)
	}
	options := cache.Options{Watch: []string{"public.*"}, Staleness: time.Minute}
	if change != nil {
		change(config, &options)
	}
	if o.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.pool.Close() })
	if _, err := o.pool.Exec(t.Context(), setup); err != nil {
		t.Fatal(err)
	}
	if o.DB, err = cache.Open(t.Context(), o.pool, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	o.becomesReady(t)
	return o
}

// forget lets go of the DB, which is closed. Package testing keeps each parallel test, with the
// functions that cleaned up behind it and what these hold, until all have ended: fences and
// memories that every collection of garbage would mark.
func (o *opened) forget() { *o = opened{} }

// becomesReady waits until a DB that was just opened is ready.
func (o *opened) becomesReady(t testing.TB) {
	t.Helper()
	select {
	case <-o.Ready():
	case <-time.After(time.Minute):
		t.Fatal("never ready")
	}
	// What was installed is received: from here on nothing ends what statements mean.
	servers.Eventually(t, "a look", func() bool {
		_, err := o.Token(t.Context())
		return err == nil
	})
}

// gaveBack waits until no connection of the pool is in use: the pool closes in the background
// one that is of no use any more.
func (o *opened) gaveBack(t *testing.T) {
	t.Helper()
	servers.Eventually(t, "all connections are given back", func() bool { return o.pool.Stat().AcquiredConns() == 0 })
}

// hits counts the hits of f.
func (o *opened) hits(t testing.TB, f func()) uint64 {
	t.Helper()
	before := o.Stats().Hits
	f()
	return o.Stats().Hits - before
}

func (o *opened) name(t *testing.T, ctx context.Context, id int64) string {
	t.Helper()
	var name string
	if err := o.QueryRow(ctx, "SELECT name FROM public.authors WHERE id = $1", id).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// Reads are hits without a word about what they depend on, and end with a change.
func TestReadsAreHits(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	ctx := t.Context()
	o.name(t, ctx, 1)
	if n := o.hits(t, func() { o.name(t, ctx, 1) }); n != 1 {
		t.Errorf("%d hits, want 1", n)
	}
	o.name(t, ctx, 2)
	if _, err := o.Exec(ctx, "UPDATE public.authors SET name = 'new' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	if got := o.name(t, ctx, 1); got != "new" {
		t.Errorf("read %q after the write", got)
	}
	if n := o.hits(t, func() { o.name(t, ctx, 2) }); n != 1 {
		t.Errorf("%d hits of another row, want 1", n)
	}
}
