package redis_test

import (
	"testing"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/loadtest/servers"
)

// Redis says how full it is to who may ask; who may not is told nothing, and goes on.
func TestRedisSaysHowFullItIs(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t, servers.RedisOptions{Settings: map[string]string{"maxmemory": "64mb", "maxmemory-policy": "allkeys-lfu"}})
	store, err := redis.New(t.Context(), redis.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if room := store.Stats().Room; room != (redis.Room{}) {
		t.Errorf("before anybody asked: %+v", room)
	}
	if err := store.AskRoom(t.Context()); err != nil {
		t.Fatal(err)
	}
	if room := store.Stats().Room; room.Used <= 0 || room.Max != 64<<20 || room.Policy != "allkeys-lfu" {
		t.Errorf("room %+v", room)
	}
	locked := servers.StartRedis(t, servers.RedisOptions{Settings: map[string]string{"requirepass": "secret"}})
	store, err = redis.New(t.Context(), redis.Options{URL: locked.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.AskRoom(t.Context()); err == nil || store.Stats().Room != (redis.Room{}) || store.Stats().Errors != 0 {
		t.Errorf("error %v, %+v", err, store.Stats())
	}
}
