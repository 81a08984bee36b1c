package cache

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestMain(m *testing.M) {
	redis.SilenceClient()
	shapeWaitMax = servers.EventuallyMax
	goleak.VerifyTestMain(servers.Shared(m, servers.Needs{Redis: true, Postgres: true}))
}

// open returns a running cache of w.
func open(t *testing.T, w *world.World, change func(*CacheOptions)) *Cache {
	t.Helper()
	o := CacheOptions{
		Options: engine.Options{Fence: w.Fence, Confirm: w.Confirm, MemoryBytes: 1 << 22, Staleness: time.Hour},
		Resolve: func(d Dependency, _ fence.Label) Resolution {
			if d.Table != "public.numbers" {
				return Resolution{Doubt: func() string { return d.Table + " is not watched" }}
			}
			return Resolution{Tags: []fence.Tag{fence.NewTag(fmt.Sprintf("16384/%s=%v", d.Column, d.Value))}}
		},
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	world.Run(t, c)
	return c
}

// pair is two processes with one remote tier and one database.
func pair(t *testing.T) (w *world.World, b *world.Bag, first, second *Cache) {
	t.Helper()
	w, b = world.New(), world.NewBag()
	shared := func(o *CacheOptions) { o.Remote = b }
	return w, b, open(t, w, shared), open(t, w, shared)
}
