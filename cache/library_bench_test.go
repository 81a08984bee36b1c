package cache_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

// contest is what takes how long, in turns, so that all meet the same machine. What is told
// is what the quietest tenth of the turns took: another program that is busy meanwhile takes
// turns away, from whoever has them.
type contest struct {
	// each is how many times a turn runs what it measures.
	each  int
	names []string
	runs  []func(i int)
	took  [][]float64 // nanoseconds for each run
}

func newContest(each int) *contest { return &contest{each: each} }

func (c *contest) add(name string, run func(i int)) {
	for i := range c.each { // warm
		run(i)
	}
	c.names, c.runs, c.took = append(c.names, name), append(c.runs, run), append(c.took, nil)
}

// beside has so many goroutines run what a turn measures, each as often as one would.
func (c *contest) beside(goroutines int) {
	for at, run := range c.runs {
		c.runs[at] = func(i int) {
			if i > 0 {
				return
			}
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for i := range c.each {
						run(i)
					}
				})
			}
			all.Wait()
		}
	}
}

// turn lets each take one turn.
func (c *contest) turn() {
	for at, run := range c.runs {
		began := time.Now()
		for i := range c.each {
			run(i)
		}
		c.took[at] = append(c.took[at], float64(time.Since(began))/float64(c.each))
	}
}

// ns is what one took.
func (c *contest) ns(name string) float64 {
	took := slices.Sorted(slices.Values(c.took[slices.Index(c.names, name)]))
	return took[len(took)/10]
}

// report tells what each took, and how often the second goes into the first.
func (c *contest) report(b *testing.B, ours, theirs, ratio string) {
	b.ReportMetric(0, "ns/op") // of all turns together, which says nothing
	for _, name := range c.names {
		b.ReportMetric(c.ns(name), "ns/"+name)
	}
	if ratio != "" {
		b.ReportMetric(c.ns(ours)/c.ns(theirs), ratio)
	}
}

// BenchmarkLibrary measures what the library promises of its speed, each beside what it is
// compared with and in turns with that:
//
//   - a hit of a wrapped function: at most a bare Get of Ristretto, one reading of the clock
//     and 60 ns; beside another reader at most twice such a Get;
//   - a row of the DB: a tenth of the pool's, over a Unix socket; a hundred rows: a third;
//   - a miss, which proves its connection in the same round trip;
//   - many values, half of them in memory, beside a load of the other half alone.
//
// BenchmarkLibraryShared does so of a hit in Redis.
func BenchmarkLibrary(b *testing.B) {
	b.Run("Wrap", benchmarkWrap)
	b.Run("QueryRow", func(b *testing.B) { benchmarkBesidePool(b, readOne) })
	b.Run("HundredRows", func(b *testing.B) { benchmarkBesidePool(b, readHundred) })
	b.Run("Miss", benchmarkMiss)
	b.Run("GetMany", benchmarkGetMany)
}

// benchmarkKeys is how many keys are read in turns.
const benchmarkKeys = 64

func benchmarkWrap(b *testing.B) {
	o := openDB(b, shopSchema, nil)
	ctx := b.Context()
	get := cache.Wrap(o.DB, "author", func(ctx context.Context, id int64) (author, error) { return loadAuthor(ctx, o, id) })
	bare, err := ristretto.NewCache(&ristretto.Config[uint64, *author]{NumCounters: 1 << 16, MaxCost: 1 << 22, BufferItems: 64})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(bare.Close)
	for key := range uint64(benchmarkKeys) {
		bare.Set(key, &author{ID: int64(key)}, 100)
	}
	bare.Wait()
	readers := func() *contest {
		c := newContest(1 << 11)
		c.add("Wrap", func(i int) { _, _ = get(ctx, int64(i%benchmarkKeys)+1) })
		c.add("Get", func(i int) { _, _ = bare.Get(uint64(i % benchmarkKeys)) })
		c.add("clock", func(int) { _ = time.Now() })
		return c
	}
	b.Run("alone", func(b *testing.B) {
		c := readers()
		for b.Loop() {
			c.turn()
		}
		c.report(b, "Wrap", "Get", "")
		b.ReportMetric(c.ns("Wrap")-c.ns("Get")-c.ns("clock"), "ns/over")
		b.ReportMetric(testing.AllocsPerRun(1000, func() { _, _ = get(ctx, 1) }), "allocs/Wrap")
	})
	b.Run("parallel", func(b *testing.B) {
		c := readers()
		c.beside(runtime.GOMAXPROCS(0))
		for b.Loop() {
			c.turn()
		}
		c.report(b, "Wrap", "Get", "×Get")
	})
}

func loadAuthor(ctx context.Context, from querier, id int64) (a author, err error) {
	err = from.QueryRow(ctx, "SELECT id, name, bio FROM public.authors WHERE id = $1", id).Scan(&a.ID, &a.Name, &a.Bio)
	return a, err
}

func benchmarkBesidePool(b *testing.B, read func(testing.TB, context.Context, querier)) {
	o := openDB(b, shopSchema, nil)
	c := newContest(8)
	c.add("DB", func(int) { read(b, b.Context(), o) })
	c.add("pool", func(int) { read(b, b.Context(), o.pool) })
	for b.Loop() {
		c.turn()
	}
	c.report(b, "DB", "pool", "×pool")
	b.ReportMetric(testing.AllocsPerRun(100, func() { read(b, b.Context(), o) }), "allocs/DB")
}

// benchmarkMiss reads each row once: what is kept is thrown away, as there is no room.
func benchmarkMiss(b *testing.B) {
	o := openDB(b, shopSchema, func(_ *pgxpool.Config, o *cache.Options) { o.Memory = 1 })
	c := newContest(8)
	c.add("DB", func(i int) { readOne(b, b.Context(), o) })
	c.add("pool", func(i int) { readOne(b, b.Context(), o.pool) })
	before := o.Stats().Hits
	for b.Loop() {
		c.turn()
	}
	if o.Stats().Hits != before {
		b.Error("some were hits")
	}
	c.report(b, "DB", "pool", "×pool")
	b.ReportMetric(testing.AllocsPerRun(100, func() { readOne(b, b.Context(), o) }), "allocs/DB")
	b.ReportMetric(testing.AllocsPerRun(100, func() { readOne(b, b.Context(), o.pool) }), "allocs/pool")
}

// salted is an author, who has another key in each salt.
type salted struct {
	author
	Salt int
}

type saltedKey struct {
	ID   int64
	Salt int
}

// saltedAuthors are authors by salted keys, many of which one statement loads.
func saltedAuthors(o *opened) *cache.Repository[saltedKey, salted] {
	return cache.NewRepository(o.DB, "author", func(ctx context.Context, k saltedKey) (salted, error) {
		a, err := loadAuthor(ctx, o, k.ID)
		return salted{a, k.Salt}, err
	}, cache.Policy[saltedKey, salted]{
		LoadMany: func(ctx context.Context, keys []saltedKey) ([]salted, error) {
			ids := make([]int64, len(keys), len(keys)+1)
			for i, k := range keys {
				ids[i] = k.ID
			}
			// There is none of the last, by which no two loads are one statement.
			all, err := loadAuthors(ctx, o, append(ids, -int64(keys[0].Salt)))
			found := make([]salted, len(all))
			for i, a := range all {
				found[i] = salted{a, keys[0].Salt}
			}
			return found, err
		},
		KeyOf: func(s salted) saltedKey { return saltedKey{s.ID, s.Salt} },
		DependsOn: func(k saltedKey, _ salted) []cache.Dependency {
			return []cache.Dependency{cache.Row("public.authors", "id", k.ID)}
		},
	})
}

// saltedKeys are keys of which the first hot ones are the same for each salt.
func saltedKeys(n, hot, salt int) []saltedKey {
	keys := make([]saltedKey, n)
	for i := range keys {
		keys[i].ID = int64(i) + 1
		if i >= hot {
			keys[i].Salt = salt
		}
	}
	return keys
}

// benchmarkGetMany asks for a hundred values of which fifty are in memory, beside the
// pool's load of the other fifty.
func benchmarkGetMany(b *testing.B) {
	const hot, anew = 50, 50
	o := openDB(b, shopSchema, nil)
	authors, ids, salt := saltedAuthors(o), make([]int64, anew, anew+1), 0
	for i := range ids {
		ids[i] = int64(hot+i) + 1
	}
	ids = append(ids, -1)
	c := newContest(1)
	ask := func(ctx context.Context) {
		salt++
		if found, err := authors.GetMany(ctx, saltedKeys(hot+anew, hot, salt)); err != nil || len(found) != hot+anew {
			b.Fatal(len(found), err)
		}
	}
	bounded := cache.WithLevel(b.Context(), cache.Bounded)
	c.add("GetMany", func(int) { ask(bounded) })
	// What was loaded last, the hits of the same session may lack: they wait for a look.
	c.add("GetManyOfASession", func(int) { ask(b.Context()) })
	c.add("pool", func(int) {
		if found, err := loadAuthors(b.Context(), o.pool, ids); err != nil || len(found) != anew {
			b.Fatal(len(found), err)
		}
	})
	for b.Loop() {
		c.turn()
	}
	c.report(b, "GetMany", "pool", "×pool")
}

// loadAuthors loads many at once.
func loadAuthors(ctx context.Context, from querier, ids []int64) ([]author, error) {
	rows, err := from.Query(ctx, "SELECT id, name, bio FROM public.authors WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[author])
}
