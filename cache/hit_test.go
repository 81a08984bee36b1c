package cache

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/loadtest/allocations"
)

// compoundKey is a key of several fields.
type compoundKey struct {
	Tenant string
	ID     int64
	Kind   uint8
}

// product is a value of ordinary size.
type product struct {
	ID    int64
	Name  string
	Price int
}

// hits returns functions that hit, by the type of their key, for keysMax keys each.
func hits(t testing.TB, c *Cache, s *fence.Session) map[string]func(i int) {
	ctx := t.Context()
	if s != nil {
		ctx = withSession(ctx, s)
	}
	texts := make([]string, keysMax)
	for i := range texts {
		texts[i] = textKey(i)
	}
	byInt := Wrap(c.DB(), "by int", func(_ context.Context, k int) (product, error) { return product{ID: int64(k)}, nil }, onNumber[int]())
	byString := Wrap(c.DB(), "by string", func(context.Context, string) (product, error) { return product{ID: 1}, nil }, onNumber[string]())
	byStruct := Wrap(c.DB(), "by struct", func(context.Context, compoundKey) (product, error) { return product{ID: 1}, nil }, onNumber[compoundKey]())
	return map[string]func(int){
		"int":    func(i int) { _, _ = byInt(ctx, i) },
		"string": func(i int) { _, _ = byString(ctx, texts[i]) },
		"struct": func(i int) { _, _ = byStruct(ctx, compoundKey{texts[i], int64(i), 7}) },
	}
}

const keysMax = 64

func textKey(i int) string { return fmt.Sprint("a key of ordinary length ", i) }

func onNumber[K comparable]() Policy[K, product] {
	return Policy[K, product]{DependsOn: func(K, product) []Dependency { return dependsOnNumber(1) }}
}

func hitResolve(Dependency, fence.Label) Resolution {
	return Resolution{Tags: []fence.Tag{world.NumberTag}}
}

func hitCache(t testing.TB) *Cache { return observedHitCache(t, nil) }

func observedHitCache(t testing.TB, onRead func(context.Context, Read)) *Cache {
	w := world.New()
	c, err := New(CacheOptions{
		Options: engine.Options{Fence: w.Fence, MemoryBytes: 1 << 22, Staleness: time.Hour},
		Resolve: hitResolve, OnRead: onRead,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestHitDoesNotAllocate(t *testing.T) {
	for name, s := range map[string]*fence.Session{"without a session": nil, "with a session": {}} {
		c := hitCache(t)
		if s != nil {
			s.SetLevel(fence.Bounded)
		}
		for key, hit := range hits(t, c, s) {
			hit(1)
			before := c.Stats()
			// Ristretto takes a buffer for each 256 readings that it notes, or so.
			if n := allocations.Fewest(2000, func() { hit(1) }); n != 0 {
				t.Errorf("%s, %s: %v allocations a hit", name, key, n)
			}
			if after := c.Stats(); after.Hits-before.Hits < 2000 || after.Loads != before.Loads {
				t.Errorf("%s, %s: %d hits", name, key, after.Hits-before.Hits)
			}
		}
	}
}

// Who hears of hits and keeps nothing makes them allocate nothing either.
func TestObservedHitDoesNotAllocate(t *testing.T) {
	var heard [OutcomeFailed + 1]int
	var took time.Duration
	c := observedHitCache(t, func(_ context.Context, r Read) {
		heard[r.Outcome]++
		took += r.Took
	})
	for key, hit := range hits(t, c, nil) {
		hit(1)
		before, all := heard[OutcomeHit], 0
		if n := allocations.Fewest(2000, func() { all++; hit(1) }); n != 0 {
			t.Errorf("%s: %v allocations a hit", key, n)
		}
		if n := heard[OutcomeHit] - before; n != all {
			t.Errorf("%s: heard of %d of %d hits", key, n, all)
		}
	}
	if heard[OutcomeLoaded] != 3 || took <= 0 {
		t.Errorf("heard %v, which took %v", heard, took)
	}
}

// Entries of two functions, or of two keys, may come to lie in one place of the first
// tier. Each is found by its own function and key alone.
func TestEntriesInOnePlace(t *testing.T) {
	t.Parallel()
	c := hitCache(t)
	function := func(name string, p Policy[int, int]) *wrapped[int, int] {
		f, err := c.functions.register(name, "here")
		if err != nil {
			t.Fatal(err)
		}
		return &wrapped[int, int]{function: f, cache: c, policy: p}
	}
	bytes := Policy[int, int]{KeyBytes: func(k int) []byte { return []byte{byte(k)} }}
	one, two, three := function("one", Policy[int, int]{}), function("two", Policy[int, int]{}), function("three", bytes)
	start, ok := c.engine.Begin()
	if !ok {
		t.Fatal("no head")
	}
	const hash = 7
	put := func(w *wrapped[int, int], k int, key string) {
		c.engine.Store(c.engine.NewEntry(engine.Loaded{Key: []byte(key), Hash: hash, Start: start, End: fence.Now(), Payload: w.payload(k, 10*k)}))
	}
	found := func(w *wrapped[int, int], k int, key []byte) bool {
		_, p := w.find(k, place{hash, key})
		return p != nil && p.value == 10*k
	}
	put(one, 1, "one 1")
	if !found(one, 1, nil) || found(one, 2, nil) || found(two, 1, nil) {
		t.Error("an entry is found by another key or function, or not by its own")
	}
	put(three, 1, "three 1")
	if !found(three, 1, []byte("three 1")) || found(three, 1, []byte("three 2")) || found(one, 1, nil) {
		t.Error("an entry is found by other bytes or another function, or not by its own")
	}
}
