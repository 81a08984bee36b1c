package redis_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/cache/redis/redistest"
	"github.com/freshet/freshet/loadtest/servers"
)

// What a reader pays for asking Redis, of an entry of 1 KiB that is there and of
// one that is not, with and without the question for a lease.
func BenchmarkExchange(b *testing.B) {
	s := redistest.Store(b, redis.Options{URL: servers.SharedRedis(b).URL(), Prefix: rand.Text()})
	if !s.Set(b.Context(), "there", make([]byte, 1<<10), time.Hour) {
		b.Fatal("set refused")
	}
	for _, key := range []string{"there", "absent"} {
		b.Run("Get/"+key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok := s.Get(b.Context(), key); ok != (key == "there") {
					b.Fatal(ok)
				}
			}
		})
		b.Run("Contend/"+key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, ok := s.Contend(b.Context(), key, nil, "token", time.Hour); !ok {
					b.Fatal(s.Stats())
				}
			}
		})
	}
}
