package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	found, err := redis.Inspect(t.Context(), servers.SharedRedis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	if found.Version == "" || found.Mode != "standalone" || found.Policy == "" || found.RoundTrip <= 0 || found.ClockAhead.Abs() > time.Minute || found.Encrypted {
		t.Errorf("found %+v", found)
	}
}

func TestInspectNamesTheRemedy(t *testing.T) {
	t.Parallel()
	locked := servers.StartRedis(t, servers.RedisOptions{Settings: map[string]string{"requirepass": "secret"}})
	full := servers.StartRedis(t, servers.RedisOptions{Settings: map[string]string{"maxmemory": "1", "maxmemory-policy": "noeviction"}})
	for name, c := range map[string]struct{ url, says string }{
		"nobody listens": {"unix:///nowhere/redis.sock", "connect to Redis"},
		"no password":    {locked.URL(), "put the user and the password into --redis"},
		"full":           {full.URL(), "it refuses writes: OOM"},
		"no URL":         {"http://host", "parse Redis URL"},
	} {
		if _, err := redis.Inspect(t.Context(), c.url); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", name, err, c.says)
		}
	}
}
