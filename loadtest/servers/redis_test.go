package servers

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func client(t *testing.T, r *Redis) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

// reconnected waits for a client to notice that its server was started again.
func reconnected(t *testing.T, c *redis.Client) {
	t.Helper()
	Eventually(t, "Redis to answer", func() bool { return c.Ping(context.Background()).Err() == nil })
}

func TestRedisForgetsUnlessPersistent(t *testing.T) {
	t.Parallel()
	for name, persist := range map[string]bool{"default": false, "persistent": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rd := StartRedis(t, RedisOptions{Persist: persist})
			c := client(t, rd)
			ctx := context.Background()
			ends := map[string]func() error{
				"restart": rd.Restart,
				"kill":    func() error { rd.Kill(); return rd.Start() },
			}
			for end, do := range ends {
				if err := c.Set(ctx, "key", end, 0).Err(); err != nil {
					t.Fatal(err)
				}
				url := rd.URL()
				if err := do(); err != nil {
					t.Fatalf("%s: %v", end, err)
				}
				if rd.URL() != url {
					t.Errorf("%s: URL %s became %s", end, url, rd.URL())
				}
				reconnected(t, c)
				value, err := c.Get(ctx, "key").Result()
				if kept := err == nil; kept != persist || kept && value != end || !kept && !errors.Is(err, redis.Nil) {
					t.Errorf("%s: the value is %q, %v, want it kept: %v", end, value, err, persist)
				}
			}
		})
	}
}

func TestRedisPause(t *testing.T) {
	t.Parallel()
	rd := StartRedis(t, RedisOptions{})
	options, err := redis.ParseURL(rd.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.ReadTimeout = -1, 50*time.Millisecond
	c := redis.NewClient(options)
	defer c.Close()
	ctx := context.Background()
	if err := c.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if err := rd.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a paused server answered")
	}
	if err := rd.Resume(); err != nil {
		t.Fatal(err)
	}
	reconnected(t, c)
	if err := rd.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := rd.Stop(); err != nil {
		t.Errorf("stop a paused server: %v", err)
	}
	if err := rd.Pause(); err == nil {
		t.Error("a stopped server could be paused")
	}
}

func TestTwoRedisAtOnce(t *testing.T) {
	t.Parallel()
	one := StartRedis(t, RedisOptions{TCP: true})
	two := StartRedis(t, RedisOptions{TCP: true, Settings: map[string]string{"maxmemory": "7mb"}})
	ctx := context.Background()
	for rd, want := range map[*Redis]string{one: "0", two: "7340032"} {
		got, err := client(t, rd).ConfigGet(ctx, "maxmemory").Result()
		if err != nil {
			t.Fatal(err)
		}
		if got["maxmemory"] != want {
			t.Errorf("maxmemory of %s is %s, want %s", rd.URL(), got["maxmemory"], want)
		}
		if !redisAnswers(rd.SocketPath()) {
			t.Errorf("%s does not answer on its Unix socket", rd.URL())
		}
	}
}

func TestRedisWithPasswordStarts(t *testing.T) {
	t.Parallel()
	rd := StartRedis(t, RedisOptions{Settings: map[string]string{"requirepass": "secret"}})
	if err := client(t, rd).Ping(context.Background()).Err(); err == nil {
		t.Error("a client without the password was served")
	}
}

func TestRedisStartErrorShowsTheLog(t *testing.T) {
	t.Parallel()
	rd, err := LaunchRedis(context.Background(), RedisOptions{Settings: map[string]string{"no-such-directive": "1"}})
	if err == nil {
		rd.Close()
		t.Fatal("an unknown directive was accepted")
	}
	if !strings.Contains(err.Error(), "Bad directive") {
		t.Errorf("error %q does not show what Redis said", err)
	}
}

func TestCloseRemovesPausedRedis(t *testing.T) {
	t.Parallel()
	rd := StartRedis(t, RedisOptions{})
	if err := rd.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(rd.dir); !os.IsNotExist(err) {
		t.Errorf("the directory after Close: %v, want none", err)
	}
	if err := rd.Start(); err == nil {
		t.Error("a closed server could be started")
	}
}
