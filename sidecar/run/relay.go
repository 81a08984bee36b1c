package run

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/cache/redis"
	"github.com/freshet/freshet/invalidation"
)

// relay is how followers of one database hear one another, nil if they do not. What comes
// from Redis is not used if it must be sealed: hints are not.
func (s *stack) relay() invalidation.Relay {
	if s.remote == nil || len(s.options.RedisKeys) > 0 {
		return nil
	}
	return &relay{s.remote, fmt.Sprintf("freshet:hints:{%x}", s.options.followed().Config.Database)}
}

// relay is a channel of Redis.
type relay struct {
	store   *redis.Store
	channel string
}

// Say says something to all followers.
func (r *relay) Say(ctx context.Context, message []byte) error {
	return r.store.Say(ctx, r.channel, message)
}

// Hear hears what followers say.
func (r *relay) Hear(ctx context.Context, heard func([]byte)) error {
	return r.store.Hear(ctx, r.channel, heard)
}
