package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// Room is what Redis says of its memory. The zero value is that it did not say, because the user may
// not ask, or nobody has asked.
type Room struct {
	// Used is what it takes, and Max its maxmemory, 0 if it has none, in bytes: of a Cluster those of
	// all masters.
	Used, Max int64
	// Policy is what it does when that is reached, empty if it did not say.
	Policy string
}

// AskRoom asks Redis for its memory, for Stats. What goes wrong makes no difference to reads and
// writes.
func (s *Store) AskRoom(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	var mu sync.Mutex
	all := Room{}
	ask := func(ctx context.Context, client goredis.Cmdable) error {
		info, err := client.InfoMap(ctx, "memory").Result()
		if err != nil {
			return err
		}
		of := info["Memory"]
		used, _ := strconv.ParseInt(of["used_memory"], 10, 64)
		most, _ := strconv.ParseInt(of["maxmemory"], 10, 64)
		mu.Lock()
		defer mu.Unlock()
		all.Used, all.Max, all.Policy = all.Used+used, all.Max+most, of["maxmemory_policy"]
		return nil
	}
	err := error(nil)
	if cluster, ok := s.client.(*goredis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error { return ask(ctx, node) })
	} else {
		err = ask(ctx, s.client)
	}
	if err != nil {
		s.room.Store(&Room{})
		return fmt.Errorf("ask Redis for its memory: %w", err)
	}
	s.room.Store(&all)
	return nil
}
