package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// filling is one value of a batch that was sent.
type filling struct {
	at      int // its place in the batch
	part    *breaker
	command *goredis.StatusCmd
}

// SetAll is Set for each of keys, with the value and the ttl at its place, in one
// exchange with each server: it takes as long as one Set, and a small part of the
// processor time. It says of each key whether Redis took its value.
func (s *Store) SetAll(ctx context.Context, keys []string, values [][]byte, ttls []time.Duration) (taken []bool) {
	taken = make([]bool, len(keys))
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipeline := s.client.Pipeline()
	sent := make([]filling, 0, len(keys))
	for i, key := range keys {
		if !s.forRedis(values[i], ttls[i]) {
			continue
		}
		if part := s.admit(ctx, key); part != nil {
			command := pipeline.Set(call, s.prefix+key, values[i], ttls[i].Truncate(ttlMin))
			sent = append(sent, filling{i, part, command})
		}
	}
	if len(sent) == 0 {
		return taken
	}
	s.sets.Add(uint64(len(sent)))
	began := time.Now()
	_, _ = pipeline.Exec(call) // each command has its own error
	s.timed(exchangeSet, began)
	// However many values one server did not take, that is one failure of it.
	failed := map[*breaker]bool{}
	for _, f := range sent {
		err := f.command.Err()
		if err != nil && failed[f.part] {
			continue
		}
		taken[f.at] = s.settle(ctx, f.part, callWrite, keys[f.at], err)
		failed[f.part] = failed[f.part] || err != nil
	}
	return taken
}

// forRedis reports whether a value may be given to Redis, and counts those that not.
func (s *Store) forRedis(value []byte, ttl time.Duration) bool {
	if len(value) == 0 || len(value) > ValueMax || ttl < ttlMin {
		s.refused.Add(1)
		return false
	}
	return true
}
