package redis_test

import (
	"context"
	"testing"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// What one store says, another hears, on one Redis and in a Cluster; and hearing ends with
// its context.
func TestWhatIsSaidIsHeard(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"alone": servers.SharedRedis(t).URL(), "cluster": servers.StartCluster(t, 3).URL()} {
		t.Run(name, func(t *testing.T) {
			speaker, hearer := redistest.Store(t, redis.Options{URL: url}), redistest.Store(t, redis.Options{URL: url})
			ctx, stop := context.WithCancel(t.Context())
			heard, ended := make(chan string, heardInTests), make(chan error, 1)
			go func() {
				ended <- hearer.Hear(ctx, t.Name(), func(message []byte) {
					select {
					case heard <- string(message):
					default:
					}
				})
			}()
			servers.Eventually(t, "a message is heard", func() bool {
				if err := speaker.Say(ctx, t.Name(), []byte("hello")); err != nil {
					t.Fatal(err)
				}
				return len(heard) > 0
			})
			if got := <-heard; got != "hello" {
				t.Errorf("heard %q", got)
			}
			stop()
			if err := <-ended; err == nil {
				t.Error("hearing ended without a reason")
			}
		})
	}
}

// heardInTests is how many messages are kept; the others are of no interest.
const heardInTests = 16

// Without Redis both fail, soon.
func TestNobodyHearsWithoutRedis(t *testing.T) {
	t.Parallel()
	store := redistest.Store(t, redis.Options{URL: "unix:///nowhere/redis.sock"})
	if store.Say(t.Context(), "a", []byte("b")) == nil || store.Hear(t.Context(), "a", func([]byte) {}) == nil {
		t.Error("it is said or heard")
	}
}
