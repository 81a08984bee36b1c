package run

import (
	"context"
	"time"

	"github.com/freshet/freshet/cache/redis"
)

// redisRoomEvery is how often Redis is asked how full it is.
const redisRoomEvery = 10 * time.Second

// watchRedisRoom asks by and by, until ctx ends: not while nobody reads, and not while Redis is of no use.
func (s *stack) watchRedisRoom(ctx context.Context) {
	ticker := time.NewTicker(redisRoomEvery)
	defer ticker.Stop()
	for {
		if s.remote.Stats().Condition == redis.Up && !s.follower.Stats().Resting {
			if err := s.remote.AskRoom(ctx); err != nil && ctx.Err() == nil {
				s.logger.Debug("Redis does not say how full it is", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
