package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

// What one process loaded, another one reads from the second tier, and it is the same.
func TestSecondTier(t *testing.T) {
	t.Parallel()
	store, err := redis.New(context.Background(), redis.Options{URL: servers.SharedRedis(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	o := openDB(t, kindsSchema, func(_ *pgxpool.Config, o *cache.Options) { o.Remote = store })
	other, err := cache.Open(t.Context(), o.pool, cache.Options{Remote: store, Staleness: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	<-other.Ready()
	// It takes long enough for the second tier to be worth its while.
	const sql = "SELECT k.*, (SELECT sum(length(a.body || b.body)) FROM public.wide a JOIN public.wide b ON a.id > b.id AND a.id < 60) FROM public.kinds k WHERE id < $1 ORDER BY id"
	want := told(t.Context(), o.pool, sql, 3)
	servers.Eventually(t, "a hit of what the other process loaded", func() bool {
		if got := told(t.Context(), o, sql, 3); got != want {
			t.Errorf("the pool says\n%s\nwho loads says\n%s", want, got)
		}
		for i := range 20 { // others, until Redis is asked
			told(t.Context(), o, sql, 3+i)
		}
		before := other.Stats().Fetched
		for i := range 20 {
			if got := told(t.Context(), other, sql, 3+i); i == 0 && got != want {
				t.Errorf("the pool says\n%s\nthe other process says\n%s", want, got)
			}
		}
		return other.Stats().Fetched > before
	})
	if _, err := o.Exec(t.Context(), "UPDATE public.kinds SET o = 'changed' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	want = told(t.Context(), o.pool, sql, 3)
	if got := told(cache.WithLevel(t.Context(), cache.Strong), other, sql, 3); got != want {
		t.Errorf("after a write the pool says\n%s\nthe other process says\n%s", want, got)
	}
}
