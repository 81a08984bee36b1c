// Package redistest connects tests of the cache to Redis, as the product does and as
// others do. What it opens is closed when the test ends.
package redistest

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/freshet/freshet/cache/redis"
)

// Patience is the timeout of a Store whose test says no other: a busy machine does not
// meet it.
const Patience = 5 * time.Second

// Store opens a store of the product's.
func Store(t testing.TB, o redis.Options) *redis.Store {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = Patience
	}
	s, err := redis.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Client opens one connection of another user of a server. It is made at once, before
// the server can refuse anything.
func Client(t testing.TB, url string) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.PoolSize = 1
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return c
}
