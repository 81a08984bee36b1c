package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Glance returns what lies under each of keys, nil where nothing does, cut to bytesMax,
// in one exchange. ok is false if Redis did not tell. In a Cluster the keys must have one
// hash tag in common. Neither Glance nor Claim counts among Stats.Gets and Stats.Sets:
// these are of entries.
func (s *Store) Glance(ctx context.Context, keys []string, bytesMax int) (values [][]byte, ok bool) {
	part := s.admit(ctx, keys[0])
	if part == nil {
		return nil, false
	}
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipeline := s.client.Pipeline()
	texts := make([]*goredis.StringCmd, len(keys))
	for i, key := range keys {
		texts[i] = pipeline.GetRange(call, s.prefix+key, 0, int64(bytesMax)-1)
	}
	_, err := pipeline.Exec(call)
	values = make([][]byte, len(keys))
	refused := 0
	for i, text := range texts {
		value, of := text.Bytes()
		switch {
		case of != nil:
			refused++
		case len(value) > 0:
			values[i] = value
		}
	}
	if refused < len(keys) && transportFailure(err) == nil {
		err = nil // somebody has put something else than a text there
	}
	return values, s.settle(ctx, part, callRead, keys[0], err)
}

// Claim keeps value under key for life, unless something lies there already. It reports
// whether Redis took it.
func (s *Store) Claim(ctx context.Context, key string, value []byte, life time.Duration) bool {
	return s.put(ctx, key, func(call context.Context, name string) (bool, error) {
		return s.client.SetNX(call, name, value, life).Result()
	})
}

// Renew keeps value under key for life, whatever lies there. It reports whether Redis took
// it.
func (s *Store) Renew(ctx context.Context, key string, value []byte, life time.Duration) bool {
	return s.put(ctx, key, func(call context.Context, name string) (bool, error) {
		return true, s.client.Set(call, name, value, life).Err()
	})
}

func (s *Store) put(ctx context.Context, key string, write func(ctx context.Context, name string) (bool, error)) bool {
	part := s.admit(ctx, key)
	if part == nil {
		return false
	}
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	taken, err := write(call, s.prefix+key)
	return s.settle(ctx, part, callWrite, key, err) && taken
}
