package cache_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

var errNoAuthor = errors.New("no such author")

// writer is what the functions of these tests load.
type writer struct {
	ID   int64
	Name string
}

// authors loads through a DB, and counts.
type authors struct {
	db    *cache.DB
	loads atomic.Int64
	asked []int64 // by the last loadMany
}

func (a *authors) byID(ctx context.Context, id int64) (writer, error) {
	a.loads.Add(1)
	found := writer{ID: id}
	err := a.db.QueryRow(ctx, "SELECT name FROM public.authors WHERE id = $1", id).Scan(&found.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoAuthor
	}
	return found, err
}

func (a *authors) byIDs(ctx context.Context, ids []int64) ([]writer, error) {
	a.loads.Add(1)
	a.asked = ids
	rows, err := a.db.Query(ctx, "SELECT id, name FROM public.authors WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[writer])
}

func (o *opened) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := o.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// want requires a name of a function, and how many loads there were.
func (a *authors) want(t *testing.T, f func(context.Context, int64) (writer, error), id int64, name string, loads int64) {
	t.Helper()
	got, err := f(t.Context(), id)
	if err != nil || got.Name != name {
		t.Fatalf("got %+v, %v; want %q", got, err, name)
	}
	if n := a.loads.Load(); n != loads {
		t.Fatalf("%d loads, want %d: %+v", n, loads, a.db.Stats())
	}
}

// The statements of a load tell what its answer depends on.
func TestWrapNeedsNoTags(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	byID := cache.Wrap(o.DB, "author", a.byID)
	a.want(t, byID, 1, "author 1", 1)
	a.want(t, byID, 1, "author 1", 1)
	a.want(t, byID, 2, "author 2", 2)
	o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
	a.want(t, byID, 2, "author 2", 2)
	a.want(t, byID, 1, "new", 3)
	a.want(t, byID, 1, "new", 3)
	if f := o.Stats().Functions["author"]; f.NotKept != "" || f.Hits != 3 || f.Loads != 3 || f.LoadErrors != 0 {
		t.Errorf("%+v", f)
	}
}

// A wrapped function that is called in a load hands out what its answer depends on,
// whether it is a hit or a load.
func TestNestedLoadsHandOutTheirTags(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	byID := cache.Wrap(o.DB, "author", a.byID)
	var titles atomic.Int64
	titled := cache.Wrap(o.DB, "title with author", func(ctx context.Context, book int64) (string, error) {
		titles.Add(1)
		var title string
		var of int64
		if err := o.QueryRow(ctx, "SELECT title, author_id FROM public.books WHERE id = $1", book).Scan(&title, &of); err != nil {
			return "", err
		}
		by, err := byID(cache.WithSession(ctx), of)
		return title + " by " + by.Name, err
	})
	want := func(book int64, text string, loads int64) {
		t.Helper()
		got, err := titled(t.Context(), book)
		if err != nil || got != text || titles.Load() != loads {
			t.Fatalf("%q, %v, %d loads; want %q, %d", got, err, titles.Load(), text, loads)
		}
	}
	want(1, "book 1 by author 2", 1)
	want(21, "book 21 by author 2", 2) // the author is a hit
	o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 2")
	want(1, "book 1 by new", 3)
	want(21, "book 21 by new", 4)
	want(21, "book 21 by new", 4)
	o.exec(t, "UPDATE public.books SET title = 'other' WHERE id = 21")
	want(21, "other by new", 5)
	want(1, "book 1 by new", 5)
}

// What a load does that is no cacheable read keeps its answer out, and Stats says why.
func TestAnswersThatAreNotKept(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	var n int64
	count := func(ctx context.Context, sql string) error { return o.QueryRow(ctx, sql).Scan(&n) }
	for name, load := range map[string]func(context.Context) error{
		"the load makes no statement": func(context.Context) error { return nil },
		"is not cacheable": func(ctx context.Context) error {
			return count(ctx, "SELECT (random() * 10)::bigint FROM public.authors LIMIT 1")
		},
		"the load writes": func(ctx context.Context) error {
			_, err := o.Exec(ctx, "UPDATE public.books SET title = title WHERE id = 7")
			return err
		},
		"the load opens a transaction": func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, o.DB, func(tx pgx.Tx) error { return tx.QueryRow(ctx, "SELECT 1").Scan(&n) })
		},
		"the load sends a batch": func(ctx context.Context) error {
			var b pgx.Batch
			b.Queue("SELECT 1")
			return o.SendBatch(ctx, &b).Close()
		},
	} {
		loads := 0
		f := cache.Wrap(o.DB, name, func(ctx context.Context, _ int) (int, error) {
			loads++
			if name != "the load makes no statement" {
				if err := count(ctx, "SELECT count(*) FROM public.authors"); err != nil { // alone it would be kept
					return 0, err
				}
			}
			return loads, load(ctx)
		})
		for range 2 {
			if _, err := f(t.Context(), 1); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if why := o.Stats().Functions[name].NotKept; loads != 2 || !strings.Contains(why, name) {
			t.Errorf("%s: %d loads for two reads, not kept: %q", name, loads, why)
		}
	}
}

// A load that reads in a transaction which was open before is not kept: it shows what
// others may not see.
func TestLoadInAnOpenTransaction(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	tx, err := o.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "UPDATE public.authors SET name = 'mine' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	reads := cache.Wrap(o.DB, "in a transaction", func(ctx context.Context, id int64) (name string, err error) {
		o.name(t, ctx, 2)
		return name, tx.QueryRow(ctx, "SELECT name FROM public.authors WHERE id = $1", id).Scan(&name)
	})
	if _, err := reads(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if why := o.Stats().Functions["in a transaction"].NotKept; !strings.Contains(why, "transaction") {
		t.Errorf("not kept: %q", why)
	}
}

// What is read through database/sql counts as what is read through the DB.
func TestWrapOverSQL(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	handle := cache.OpenSQL(o.DB)
	t.Cleanup(func() { _ = handle.Close() })
	loads := 0
	f := cache.Wrap(o.DB, "by database/sql", func(ctx context.Context, id int64) (name string, err error) {
		loads++
		err = handle.QueryRowContext(ctx, "SELECT name FROM public.authors WHERE id = $1", id).Scan(&name)
		return name, err
	})
	want := func(name string, n int) {
		t.Helper()
		if got, err := f(t.Context(), 1); err != nil || got != name || loads != n {
			t.Fatalf("%q, %v, %d loads; want %q, %d", got, err, loads, name, n)
		}
	}
	want("author 1", 1)
	want("author 1", 1)
	o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
	want("new", 2)
}

// A load within which a value changes is not kept with half of it.
func TestLoadOvertakenByAWrite(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	loads := 0
	both := cache.Wrap(o.DB, "two names", func(ctx context.Context, _ int) (string, error) {
		loads++
		first := o.name(t, ctx, 1)
		if loads == 1 {
			if _, err := o.pool.Exec(ctx, "UPDATE public.authors SET name = 'new' WHERE id = 1"); err != nil {
				return "", err
			}
			cache.Wrote(context.WithoutCancel(t.Context()), o.DB)
		}
		return first + ", " + o.name(t, ctx, 2), nil
	})
	if got, err := both(t.Context(), 1); err != nil || got != "author 1, author 2" {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := both(t.Context(), 1); err != nil || got != "new, author 2" || loads != 2 {
		t.Fatalf("%q, %v, %d loads", got, err, loads)
	}
}

// The interleaving of withLoad: a leader who demands less than a follower does not make
// the statements of the load say less.
func TestLoadDemandsWhatItsFollowersDo(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	if got := o.name(t, t.Context(), 1); got != "author 1" { // kept
		t.Fatal(got)
	}
	a := &authors{db: o.DB}
	byID := cache.Wrap(o.DB, "author", a.byID)
	// Written past the DB, and acknowledged: a reader of the load must see it, although
	// the leader's own level would be content with what is kept.
	if _, err := o.pool.Exec(t.Context(), "UPDATE public.authors SET name = 'new' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	a.want(t, func(_ context.Context, id int64) (writer, error) {
		return byID(cache.WithLevel(t.Context(), cache.Bounded), id)
	}, 1, "new", 1)
}

func TestNotFoundIsKept(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	byID := cache.Wrap(o.DB, "author", a.byID, cache.Policy[int64, writer]{NotFound: errNoAuthor})
	for range 2 {
		if _, err := byID(t.Context(), 1000); !errors.Is(err, errNoAuthor) || a.loads.Load() != 1 {
			t.Fatalf("%v, %d loads", err, a.loads.Load())
		}
	}
	o.exec(t, "INSERT INTO public.authors VALUES (1000, 'born')")
	a.want(t, byID, 1000, "born", 2)
}

// counted is a Redis that counts the questions.
type counted struct {
	*redis.Store
	questions atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, time.Duration, bool) {
	c.questions.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counted) GetMany(ctx context.Context, keys []string, each func(int, []byte, time.Duration)) {
	c.questions.Add(1)
	c.Store.GetMany(ctx, keys, each)
}

func (c *counted) Contend(ctx context.Context, key string, seen []byte, token string, life time.Duration) ([]byte, time.Duration, bool, bool) {
	c.questions.Add(1)
	return c.Store.Contend(ctx, key, seen, token, life)
}

// twoDBs are two processes that share a Redis and a database. The options of the second
// may be changed.
func twoDBs(t *testing.T, change ...func(*cache.Options)) (first, second *opened, asked *counted) {
	t.Helper()
	store, err := redis.New(context.Background(), redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: t.Name(), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	first = openDB(t, shopSchema, func(_ *pgxpool.Config, o *cache.Options) { o.Remote = store })
	pool := poolOf(t, first.dsn)
	asked = &counted{Store: store}
	options := cache.Options{Remote: asked, Staleness: time.Minute}
	for _, change := range change {
		change(&options)
	}
	db, err := cache.Open(t.Context(), pool, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	second = &opened{DB: db, pool: pool, dsn: first.dsn}
	second.becomesReady(t)
	return first, second, asked
}

func published(t *testing.T, o *opened, n uint64) {
	t.Helper()
	servers.Eventually(t, "the entries are in Redis", func() bool { return o.Stats().Published >= n })
}

// manyAuthors is the policy of a repository of authors.
func manyAuthors(a *authors) cache.Policy[int64, writer] {
	return cache.Policy[int64, writer]{
		NotFound: errNoAuthor, LoadMany: a.byIDs, KeyOf: func(a writer) int64 { return a.ID },
		DependsOn: func(id int64, _ writer) []cache.Dependency {
			return []cache.Dependency{cache.Row("public.authors", "id", id)}
		},
	}
}

// Of a hundred keys, some are in memory and some in Redis: one question to Redis, and one
// load of the rest.
func TestGetManyAsksOnce(t *testing.T) {
	t.Parallel()
	first, second, asked := twoDBs(t)
	a, b := &authors{db: first.DB}, &authors{db: second.DB}
	policy, other := manyAuthors(a), manyAuthors(b)
	there := cache.NewRepository(first.DB, "author", a.byID, policy)
	here := cache.NewRepository(second.DB, "author", b.byID, other)
	ids := make([]int64, 100)
	for i := range ids {
		ids[i] = int64(i + 151) // the last 50 do not exist
	}
	before := first.Stats().Published
	if got, err := there.GetMany(t.Context(), ids[25:50]); err != nil || len(got) != 25 || a.loads.Load() != 1 {
		t.Fatalf("%d found, %v, %d loads", len(got), err, a.loads.Load())
	}
	published(t, first, before+25)
	for _, id := range ids[:25] {
		if _, err := here.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	loads, hits, questions := b.loads.Load(), second.Stats().Hits, asked.questions.Load()
	got, err := here.GetMany(t.Context(), append(ids, ids...))
	if err != nil || len(got) != 50 || got[175].Name != "author 175" {
		t.Fatalf("%d found, %v", len(got), err)
	}
	if b.loads.Load()-loads != 1 || len(b.asked) != 50 || slices.Contains(b.asked, 200) {
		t.Errorf("%d loads, the last of %v", b.loads.Load()-loads, b.asked)
	}
	if f := second.Stats().Functions["author"]; f.Hits != 25 || f.Loads != 26 {
		t.Errorf("%d hits, %d loads of the function", f.Hits, f.Loads)
	}
	// That of the statement itself is another, unless it was quick.
	if n := asked.questions.Load() - questions; n < 1 || n > 2 {
		t.Errorf("%d questions to Redis", n)
	}
	if n := second.Stats().Hits - hits; n != 25 {
		t.Errorf("%d hits in memory, want 25", n)
	}
	// All are kept now, and so is what does not exist.
	if got, err = here.GetMany(t.Context(), ids); err != nil || len(got) != 50 || b.loads.Load()-loads != 1 {
		t.Errorf("%d found, %v, %d loads", len(got), err, b.loads.Load()-loads)
	}
	first.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 160")
	ctx := cache.WithLevel(t.Context(), cache.Strong)
	if got, err = here.GetMany(ctx, ids); err != nil || got[160].Name != "new" || len(b.asked) != 1 {
		t.Errorf("%q, %v, asked for %v", got[160].Name, err, b.asked)
	}
}

// The interleaving of join: two that load each other's keys do not wait for one another.
func TestTwoGetManyWaitForEachOther(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	policy := manyAuthors(a)
	var together sync.WaitGroup
	together.Add(2)
	policy.LoadMany = func(ctx context.Context, ids []int64) ([]writer, error) {
		together.Done()
		together.Wait() // each leads one key, and the other waits for it
		return (&authors{db: o.DB}).byIDs(ctx, ids)
	}
	r := cache.NewRepository(o.DB, "author", a.byID, policy)
	var both sync.WaitGroup
	both.Go(func() {
		if got, err := r.GetMany(t.Context(), []int64{1, 2}); err != nil || len(got) != 2 {
			t.Errorf("%v, %v", got, err)
		}
	})
	both.Go(func() {
		if got, err := r.GetMany(t.Context(), []int64{3, 1}); err != nil || len(got) != 2 {
			t.Errorf("%v, %v", got, err)
		}
	})
	both.Wait()
}

func TestRefreshPeekInvalidate(t *testing.T) {
	t.Parallel()
	first, second, _ := twoDBs(t)
	a, b := &authors{db: first.DB}, &authors{db: second.DB}
	here := cache.NewRepository(first.DB, "author", a.byID)
	there := cache.NewRepository(second.DB, "author", b.byID)
	if _, ok := here.Peek(t.Context(), 1); ok {
		t.Error("peeked at what is not there")
	}
	a.want(t, here.Get, 1, "author 1", 1)
	servers.Eventually(t, "a look has come", func() bool { _, ok := here.Peek(t.Context(), 1); return ok })
	a.want(t, here.Refresh, 1, "author 1", 2)
	a.want(t, here.Get, 1, "author 1", 2)
	if v, err := there.Get(t.Context(), 1); err != nil || v.Name != "author 1" {
		t.Fatal(v, err)
	}
	if err := here.Invalidate(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	a.want(t, here.Get, 1, "author 1", 3)
	loads, fetched := b.loads.Load(), second.Stats().Fetched
	if _, err := there.Get(cache.WithLevel(t.Context(), cache.Strong), 1); err != nil {
		t.Fatal(err)
	}
	if b.loads.Load() == loads && second.Stats().Fetched == fetched {
		t.Error("what was ended elsewhere is a hit")
	}
	// In a transaction it ends with that.
	err := pgx.BeginFunc(t.Context(), first.DB, func(tx pgx.Tx) error { return here.InvalidateIn(t.Context(), tx, 1) })
	if err != nil {
		t.Fatal(err)
	}
	a.want(t, here.Get, 1, "author 1", 4)
}

// An old value is returned with an error beside it, and only while Grace lasts.
func TestGrace(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	var fails atomic.Bool
	broken := errors.New("broken")
	wait := make(chan struct{})
	var slow atomic.Bool
	load := func(ctx context.Context, id int64) (writer, error) {
		if fails.Load() {
			return writer{}, broken
		}
		if slow.Load() {
			<-wait
		}
		return a.byID(ctx, id)
	}
	byID := cache.Wrap(o.DB, "author", load, cache.Policy[int64, writer]{Grace: time.Hour, Patience: 50 * time.Millisecond})
	waiting := cache.Wrap(o.DB, "waiting", load, cache.Policy[int64, writer]{Grace: time.Hour})
	short := cache.Wrap(o.DB, "short", load, cache.Policy[int64, writer]{Grace: time.Nanosecond})
	a.want(t, byID, 1, "author 1", 1)
	a.want(t, waiting, 1, "author 1", 2)
	a.want(t, short, 1, "author 1", 3)
	o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
	fails.Store(true)
	got, err := waiting(t.Context(), 1)
	var stale *cache.StaleError
	if !errors.As(err, &stale) || !errors.Is(err, broken) || got.Name != "author 1" || time.Since(stale.Since) > time.Minute {
		t.Errorf("a load that fails: %+v, %v", got, err)
	}
	if got, err := short(t.Context(), 1); err != broken || got.Name != "" {
		t.Errorf("Grace is over: %+v, %v", got, err)
	}
	if _, err := byID(t.Context(), 2); err != broken {
		t.Errorf("without an old value: %v", err)
	}
	fails.Store(false)
	slow.Store(true)
	if got, err := byID(t.Context(), 1); !errors.Is(err, context.DeadlineExceeded) || got.Name != "author 1" {
		t.Errorf("a load that takes long: %+v, %v", got, err)
	}
	close(wait)
	servers.Eventually(t, "the load went on", func() bool {
		got, err := byID(t.Context(), 1)
		return err == nil && got.Name == "new"
	})
}

// What a change ends of the most asked keys is loaded again before anybody asks.
func TestWarm(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	r := cache.NewRepository(o.DB, "author", a.byID, cache.Policy[int64, writer]{Warm: 2})
	for id := range int64(5) {
		if _, err := r.Get(t.Context(), id+1); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		a.want(t, r.Get, 1, "author 1", 5)
	}
	o.exec(t, "UPDATE public.authors SET name = 'new' WHERE id = 1")
	servers.Eventually(t, "the value is there before it is asked for", func() bool {
		v, ok := r.Peek(t.Context(), 1)
		return ok && v.Name == "new"
	})
	a.want(t, r.Get, 1, "new", 6)
}

type shelf struct{ Titles []string }

// Callers that change what they get, change their own.
func TestClone(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	f := cache.Wrap(o.DB, "shelf", func(ctx context.Context, id int64) (shelf, error) {
		return shelf{[]string{o.name(t, ctx, id)}}, nil
	}, cache.Policy[int64, shelf]{Clone: func(s shelf) shelf { return shelf{slices.Clone(s.Titles)} }})
	for range 3 {
		got, err := f(t.Context(), 1)
		if err != nil || got.Titles[0] != "author 1" {
			t.Fatal(got, err)
		}
		got.Titles[0] = "mine"
	}
}

// A release that means something else by the same shape does not get the values of the
// one before.
func TestVersion(t *testing.T) {
	t.Parallel()
	first, second, _ := twoDBs(t)
	price := func(unit int) func(context.Context, int64) (int, error) {
		return func(ctx context.Context, id int64) (int, error) {
			var n int
			err := second.QueryRow(ctx, "SELECT count(*) FROM public.books WHERE author_id = $1", id).Scan(&n)
			return n * unit, err
		}
	}
	depends := func(int64, int) []cache.Dependency { return []cache.Dependency{cache.Table("public.books")} }
	euros := cache.Wrap(first.DB, "price", price(1), cache.Policy[int64, int]{DependsOn: depends})
	before := first.Stats().Published
	if n, err := euros(t.Context(), 1); err != nil || n != 20 {
		t.Fatal(n, err)
	}
	published(t, first, before+1)
	cents := cache.Wrap(second.DB, "price", price(100), cache.Policy[int64, int]{DependsOn: depends, Version: 2})
	if n, err := cents(t.Context(), 1); err != nil || n != 2000 {
		t.Errorf("the next release is served %d, %v", n, err)
	}
}

func TestTTLEndsAnEntry(t *testing.T) {
	t.Parallel()
	o := openDB(t, shopSchema, nil)
	a := &authors{db: o.DB}
	byID := cache.Wrap(o.DB, "author", a.byID, cache.Policy[int64, writer]{TTL: time.Millisecond})
	servers.Eventually(t, "it is loaded again and again", func() bool {
		if _, err := byID(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		return a.loads.Load() > 3
	})
}
