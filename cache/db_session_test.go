package cache_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
)

// Strong reads show what strangers have written, however long the bound.
func TestStrongReads(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	ctx := cache.WithLevel(t.Context(), cache.Strong)
	for i := range 30 {
		o.name(t, ctx, 1)
		name := fmt.Sprint("name ", i)
		if _, err := o.pool.Exec(t.Context(), "UPDATE public.authors SET name = $1 WHERE id = 1", name); err != nil {
			t.Fatal(err)
		}
		if got := o.name(t, ctx, 1); got != name {
			t.Fatalf("read %q, want %q", got, name)
		}
	}
}

// A token is reached or the read is Postgres'; a text that is none is an error.
func TestTokens(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	if _, err := cache.WithToken(t.Context(), "nonsense"); err == nil {
		t.Error("no error of a token that is none")
	}
	token, err := o.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	here, err := cache.WithToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	o.name(t, here, 1)
	if n := o.hits(t, func() { o.name(t, here, 1) }); n != 1 {
		t.Errorf("%d hits behind a token, want 1", n)
	}
	elsewhere, err := cache.WithToken(t.Context(), "another@1:1:")
	if err != nil {
		t.Fatal(err)
	}
	if n := o.hits(t, func() { o.name(t, elsewhere, 1) }); n != 0 {
		t.Errorf("%d hits behind a token of another database, want 0", n)
	}
}

func TestBypass(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	o.name(t, t.Context(), 1)
	if n := o.hits(t, func() { o.name(t, cache.Bypass(t.Context()), 1) }); n != 0 {
		t.Errorf("%d hits, want 0", n)
	}
}

type atAcquire struct{}

// The schema changes when the meaning of a statement is found and its label is not yet
// taken: the pool's hook is called in between. What is loaded then is kept for nobody.
func TestSchemaChangeBetweenMeaningAndLabel(t *testing.T) {
	t.Parallel()
	o := openDB(t, `
CREATE TABLE public.things (id int PRIMARY KEY, name text); INSERT INTO public.things VALUES (1, 'a'), (2, 'b');
CREATE TABLE public.others (id int PRIMARY KEY, name text); INSERT INTO public.others VALUES (1, 'c'), (2, 'd');`,
		func(c *pgxpool.Config, o *cache.Options) {
			o.Scope = func(context.Context) string { return "" }
			c.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
				if f, ok := ctx.Value(atAcquire{}).(func()); ok {
					f()
				}
				return true, nil
			}
		})
	read := func(ctx context.Context, id int) (name string) {
		t.Helper()
		// An expression: no column would tell that another table is read.
		if err := o.QueryRow(ctx, "SELECT name || '' FROM things WHERE id = $1", id).Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	read(t.Context(), 1)
	if n := o.hits(t, func() { read(t.Context(), 1) }); n != 1 {
		t.Fatalf("%d hits, want 1", n)
	}
	done := false
	ctx := context.WithValue(t.Context(), atAcquire{}, func() {
		if done {
			return
		}
		done = true
		conn, err := pgx.Connect(context.Background(), o.dsn)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "ALTER TABLE public.things RENAME TO before; CREATE VIEW public.things AS SELECT * FROM public.others"); err != nil {
			t.Error(err)
		}
		if _, err := o.Token(context.Background()); err != nil { // it is received
			t.Error(err)
		}
	})
	if got := read(ctx, 2); got != "d" || !done {
		t.Fatalf("read %q", got)
	}
	if _, err := o.Exec(t.Context(), "UPDATE public.others SET name = 'new'"); err != nil {
		t.Fatal(err)
	}
	if got := read(t.Context(), 2); got != "new" {
		t.Errorf("read %q: kept with what the statement meant before", got)
	}
}

// A role that may only read, and follow, is enough where somebody else has installed.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	server := servers.SharedPostgres(t)
	database := server.CreateDatabase(t)
	admin, err := pgx.Connect(t.Context(), server.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), shopSchema+"GRANT SELECT ON public.authors TO "+servers.Follower); err != nil {
		t.Fatal(err)
	}
	if _, err := invalidation.Install(t.Context(), admin, invalidation.Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(context.Background(), server.FollowerDSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	for _, watch := range [][]string{nil, {"public.*"}} {
		db, err := cache.Open(t.Context(), pool, cache.Options{Watch: watch, Staleness: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		<-db.Ready()
		servers.Eventually(t, "a hit", func() bool {
			one(t, db)
			return db.Stats().Hits > 0
		})
	}
}

// What one read of the process was shown, by a load, the next one is shown too, from the
// cache: a transaction changes two rows, of which one is kept and the other is not.
func TestNoReadOfTheProcessGoesBack(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	stranger, err := pgx.Connect(t.Context(), o.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(context.Background())
	for i := int64(1); i <= 100; i++ {
		kept, loaded := i, i+100
		o.name(t, t.Context(), kept)
		name := fmt.Sprint("name ", i)
		if _, err := stranger.Exec(t.Context(), "UPDATE public.authors SET name = $1 WHERE id IN ($2, $3)", name, kept, loaded); err != nil {
			t.Fatal(err)
		}
		if got := o.name(t, t.Context(), loaded); got != name {
			t.Fatalf("loaded %q", got)
		}
		if got := o.name(t, t.Context(), kept); got != name {
			t.Fatalf("read %d: went back to %q", i, got)
		}
	}
}
