package cache

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/allocations"
	"github.com/freshet/freshet/loadtest/servers"
)

// forgetful is a cache of a world whose first tier has room for nothing.
func forgetful(t testing.TB, w *world.World, store *redis.Store) *Cache {
	c, err := New(CacheOptions{
		Options: engine.Options{Fence: w.Fence, Confirm: w.Confirm, Remote: store, RemotePolicy: engine.RemoteAlways, MemoryBytes: 1, Staleness: time.Hour},
		Resolve: hitResolve,
	})
	if err != nil {
		t.Fatal(err)
	}
	world.Run(t, c)
	return c
}

// What a hit in Redis costs, beside a client's own GET and the decoding. The bar is 1.3
// times their time.
func BenchmarkLibraryShared(b *testing.B) {
	store, err := redis.New(b.Context(), redis.Options{URL: servers.SharedRedis(b).URL(), Prefix: rand.Text()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	w := world.New()
	want := product{ID: 1, Name: "a product with a name", Price: 1250}
	load := func(context.Context, int) (product, error) { return want, nil }
	first := forgetful(b, w, store)
	if _, err := Wrap(first.DB(), "product", load, onNumber[int]())(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	world.Until(b, "it is in Redis", func() bool { return first.Stats().Published == 1 })
	get := Wrap(forgetful(b, w, store).DB(), "product", func(context.Context, int) (product, error) { return product{}, errors.New("loaded") }, onNumber[int]())
	text, err := json.Marshal(want)
	if err != nil {
		b.Fatal(err)
	}
	client, name := redistest.Client(b, servers.SharedRedis(b).URL()), rand.Text()
	client.Set(b.Context(), name, text, time.Hour)
	bare := func() {
		text, asked := client.Get(b.Context(), name).Bytes()
		var got product
		if err := json.Unmarshal(text, &got); asked != nil || err != nil || got != want {
			b.Fatal(got, asked, err)
		}
	}
	wrapped := func() {
		if got, err := get(b.Context(), 1); err != nil || got != want {
			b.Fatal(got, err)
		}
	}
	// In turns, so that both meet the same machine.
	var took, beside time.Duration
	rounds := 0
	for b.Loop() {
		began := time.Now()
		wrapped()
		between := time.Now()
		bare()
		took += between.Sub(began)
		beside += time.Since(between)
		rounds++
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(rounds), "ns/hit")
	b.ReportMetric(float64(took)/float64(beside), "×bare")
	b.ReportMetric(allocations.Fewest(100, wrapped), "allocs/hit")
	b.ReportMetric(allocations.Fewest(100, bare), "allocs/bare")
}

// A hit in the second tier allocates little besides what the question to Redis does: the client's
// own question and the decoding make eleven.
func TestSharedHitAllocatesLittle(t *testing.T) {
	store := redistest.Store(t, redis.Options{URL: servers.SharedRedis(t).URL(), Prefix: rand.Text()})
	w := world.New()
	first := forgetful(t, w, store)
	load := func(context.Context, int) (product, error) { return product{ID: 1, Name: "a product"}, nil }
	if _, err := Wrap(first.DB(), "product", load, onNumber[int]())(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	world.Until(t, "it is in Redis", func() bool { return first.Stats().Published == 1 })
	second := forgetful(t, w, store)
	get := Wrap(second.DB(), "product", load, onNumber[int]())
	const allocationsMax = 21
	n := allocations.Fewest(200, func() { _, _ = get(t.Context(), 1) })
	if st := second.Stats(); st.Loads != 0 || st.Fetched < 200 {
		t.Fatalf("%d loads, %d entries from Redis", st.Loads, st.Fetched)
	}
	if !RaceDetector && n > allocationsMax {
		t.Errorf("%v allocations a hit, at most %d", n, allocationsMax)
	}
}
