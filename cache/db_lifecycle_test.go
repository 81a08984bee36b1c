package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

// alone fails the test if it leaves a goroutine that was not there before.
func alone(t *testing.T) {
	t.Helper()
	servers.SharedPostgres(t) // these stay
	servers.SharedRedis(t)
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// poolOf returns a pool that is closed before what alone looks for.
func poolOf(t *testing.T, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// one reads 1, with whatever answers.
func one(t *testing.T, db *cache.DB) {
	t.Helper()
	var n int
	if err := db.QueryRow(t.Context(), "SELECT id FROM public.authors WHERE id = 1").Scan(&n); err != nil || n != 1 {
		t.Fatalf("read %d, %v", n, err)
	}
}

// The tests here are no parallel ones: they count goroutines.

func TestCloseWhenReady(t *testing.T) {
	alone(t)
	o := openDB(t, shopSchema, func(_ *pgxpool.Config, o *cache.Options) {
		store, err := redis.New(context.Background(), redis.Options{URL: servers.SharedRedis(t).URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		o.Remote = store
	})
	one(t, o.DB)
	one(t, o.DB)
	o.Close()
	one(t, o.DB) // from the pool
	o.Close()
}

func TestCloseWithoutPostgres(t *testing.T) {
	alone(t)
	pool := poolOf(t, "host=/nowhere port=1 user=nobody")
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	db, err := cache.Open(ctx, pool, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("waited %v", took)
	}
	select {
	case <-db.Ready():
		t.Error("ready without Postgres")
	default:
	}
	if err := db.QueryRow(t.Context(), "SELECT 1").Scan(new(int)); err == nil {
		t.Error("an answer from nowhere")
	}
	db.Close()
}

// Open returns while Postgres is away, and the DB serves once it is there.
func TestPostgresComesLater(t *testing.T) {
	alone(t)
	server := servers.StartPostgres(t, servers.PostgresOptions{})
	dsn := server.DSN(server.CreateDatabase(t))
	pool := poolOf(t, dsn)
	if _, err := pool.Exec(t.Context(), shopSchema); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(servers.Fast); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	db, err := cache.Open(ctx, pool, cache.Options{Watch: []string{"public.*"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-db.Ready():
	case <-time.After(time.Minute):
		t.Fatal("never ready")
	}
	servers.Eventually(t, "a hit", func() bool {
		one(t, db)
		return db.Stats().Hits > 0
	})
	server.Kill()
	if err := db.QueryRow(t.Context(), "SELECT id FROM public.authors WHERE id = 2").Scan(new(int)); err == nil {
		t.Error("an answer from nowhere")
	}
}

func TestCloseWithoutRedis(t *testing.T) {
	alone(t)
	server := servers.StartRedis(t, servers.RedisOptions{})
	store, err := redis.New(context.Background(), redis.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	o := openDB(t, shopSchema, func(_ *pgxpool.Config, o *cache.Options) { o.Remote = store })
	one(t, o.DB)
	server.Kill()
	for id := range int64(20) {
		o.name(t, t.Context(), id+1)
	}
	o.Close()
}

// What can never work is an error, and names what to do.
func TestOpenRefuses(t *testing.T) {
	server := servers.SharedPostgresOfRoles(t) // whose process stays
	alone(t)
	database := server.CreateDatabase(t)
	admin := poolOf(t, server.DSN(database))
	if _, err := admin.Exec(t.Context(), "CREATE ROLE "+database+"_reader LOGIN"); err != nil {
		t.Fatal(err)
	}
	reader, err := pgxpool.ParseConfig(server.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	reader.ConnConfig.User = database + "_reader"
	readers, err := pgxpool.NewWithConfig(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	defer readers.Close()
	_, err = cache.Open(t.Context(), readers, cache.Options{Watch: []string{"public.*"}})
	wants(t, err, "no right to install", database+"_reader", "freshet install")

	hooked := admin.Config()
	hooked.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { return true, nil }
	prepared, err := pgxpool.NewWithConfig(t.Context(), hooked)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Close()
	_, err = cache.Open(t.Context(), prepared, cache.Options{})
	wants(t, err, "Scope", "PrepareConn")

	_, err = cache.Open(t.Context(), nil, cache.Options{})
	wants(t, err, "pool is nil")
	_, err = cache.Open(t.Context(), admin, cache.Options{TTL: -1})
	wants(t, err, "negative")
	_, err = cache.Open(t.Context(), admin, cache.Options{Watch: []string{"nonsense"}})
	wants(t, err, "nonsense")
}

func wants(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// Where nothing is installed, a role without rights reads from Postgres, and can be closed
// at any time.
func TestCloseWhereNothingIsInstalled(t *testing.T) {
	alone(t)
	server := servers.SharedPostgres(t)
	pool := poolOf(t, server.DSN(server.CreateDatabase(t)))
	if _, err := pool.Exec(t.Context(), shopSchema); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	db, err := cache.Open(ctx, pool, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one(t, db)
	db.Close()
}

// The DB is closed while others load, wait for looks and hit, and their reads go on.
func TestCloseWhileReading(t *testing.T) {
	alone(t)
	o := openDB(t, shopSchema, nil)
	const each = 50 // reads of a reader at least before the DB is closed, and behind
	var reading atomic.Int64
	ended, closed := make(chan error, 8), make(chan struct{})
	for range cap(ended) {
		go func() {
			var err error
			for i, left := 0, each; left > 0 && err == nil; i++ {
				id := i%20 + 1
				err = o.QueryRow(context.Background(), "SELECT name FROM public.authors WHERE id = $1", id).Scan(new(string))
				if err == nil && i%2 == 0 { // so that few are hits
					_, err = o.Exec(context.Background(), "UPDATE public.authors SET name = name WHERE id = $1", id+1)
				}
				if i == each {
					reading.Add(1)
				}
				select {
				case <-closed:
					left--
				default:
				}
			}
			ended <- err
		}()
	}
	servers.Eventually(t, "all readers read", func() bool { return reading.Load() == int64(cap(ended)) || len(ended) > 0 })
	o.Close()
	close(closed)
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// The DB is closed while a load waits for a connection, and another reader for that load: both
// are answered by Postgres.
func TestCloseWhileALoadWaitsForAConnection(t *testing.T) {
	alone(t)
	o := openDB(t, shopSchema, func(c *pgxpool.Config, _ *cache.Options) { c.MaxConns = 1 })
	o.name(t, t.Context(), 1) // what the statement means is known
	only, err := o.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	misses, ended := o.Stats().Misses, make(chan error, 2)
	for range cap(ended) {
		go func() {
			var name string
			err := o.QueryRow(context.Background(), "SELECT name FROM public.authors WHERE id = $1", 2).Scan(&name)
			if err == nil && name != "author 2" {
				err = fmt.Errorf("read %q, want author 2", name)
			}
			ended <- err
		}()
	}
	servers.Eventually(t, "both readers miss", func() bool { return o.Stats().Misses == misses+2 })
	o.Close()
	only.Release()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Whatever a wrapped function is in the middle of when the DB is closed, it ends, and nothing
// of it stays.
func TestCloseInTheMiddle(t *testing.T) {
	// held is a load that is under way until its context ends. Only the first says that it
	// began: once the DB is closed each reader loads for himself.
	held := func(began chan<- struct{}) func(context.Context, int64) (string, error) {
		return func(ctx context.Context, _ int64) (string, error) {
			select {
			case began <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return "", ctx.Err()
		}
	}
	for name, enter := range map[string]func(ctx context.Context, t *testing.T, o *opened, ended chan<- error){
		"while readers wait for one load, and others for its slot": func(ctx context.Context, t *testing.T, o *opened, ended chan<- error) {
			began := make(chan struct{}, 1)
			read := cache.Wrap(o.DB, "held", held(began))
			for i := range int64(4) {
				go func() { _, err := read(ctx, i%2); ended <- err }()
			}
			<-began
			servers.Eventually(t, "all readers have looked for their values", func() bool { return o.Stats().Misses >= 4 })
		},
		"while a load outlives its reader's patience": func(ctx context.Context, t *testing.T, o *opened, ended chan<- error) {
			began := make(chan struct{}, 1)
			slow := false
			load := held(began)
			read := cache.Wrap(o.DB, "patient", func(ctx context.Context, id int64) (string, error) {
				if slow {
					return load(ctx, id)
				}
				return o.name(t, ctx, id), nil
			}, cache.Policy[int64, string]{Grace: time.Hour, Patience: time.Millisecond})
			if _, err := read(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			slow = true
			o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
			if _, err := o.Token(t.Context()); err != nil { // which knows of the change
				t.Fatal(err)
			}
			for range 4 {
				_, err := read(t.Context(), 1)
				if stale := (*cache.StaleError)(nil); errors.As(err, &stale) {
					err = nil // the value of before, while the load goes on
				}
				ended <- err
			}
			<-began // and goes on
		},
		"while what a change ended is loaded again": func(ctx context.Context, t *testing.T, o *opened, ended chan<- error) {
			began := make(chan struct{}, 1)
			slow := atomic.Bool{}
			load := held(began)
			read := cache.Wrap(o.DB, "warm", func(ctx context.Context, id int64) (string, error) {
				if slow.Load() {
					return load(ctx, id)
				}
				return o.name(t, ctx, id), nil
			}, cache.Policy[int64, string]{Warm: 1})
			for range 4 {
				_, err := read(t.Context(), 1)
				ended <- err
			}
			slow.Store(true)
			o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
			<-began
		},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			o := openDB(t, shopSchema, func(_ *pgxpool.Config, o *cache.Options) { o.LoadsMax = 1 })
			ended := make(chan error, 4)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			enter(ctx, t, o, ended)
			o.Close()
			leave() // what is loaded without the cache by then
			for range cap(ended) {
				if err := <-ended; err != nil && !errors.Is(err, cache.ErrClosed) && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
}
