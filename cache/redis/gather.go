package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// gathering is the question for one key of many.
type gathering struct {
	at   int // its place among the keys
	part *breaker
	life *goredis.DurationCmd
	text *goredis.StringCmd
}

// GetMany is Get for each of keys, in one exchange with each server. It calls each with
// those that have a value.
func (s *Store) GetMany(ctx context.Context, keys []string, each func(i int, value []byte, left time.Duration)) {
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipeline := s.client.Pipeline()
	sent := make([]gathering, 0, len(keys))
	for i, key := range keys {
		if part := s.admit(ctx, key); part != nil {
			name := s.prefix + key
			// In the order of a reading, and for its reason.
			life := pipeline.PTTL(call, name)
			sent = append(sent, gathering{i, part, life, pipeline.GetRange(call, name, 0, ValueMax)})
		}
	}
	if len(sent) == 0 {
		return
	}
	s.gets.Add(uint64(len(sent)))
	began := time.Now()
	_, _ = pipeline.Exec(call) // each command has its own error
	s.timed(exchangeGet, began)
	// However many values one server did not give, that is one failure of it.
	failed := map[*breaker]bool{}
	for _, g := range sent {
		err := g.life.Err()
		if err == nil {
			err = g.text.Err()
		}
		if err != nil && failed[g.part] {
			continue
		}
		if !s.settle(ctx, g.part, callRead, keys[g.at], err) {
			failed[g.part] = true
			continue
		}
		value, _ := g.text.Bytes()
		if value, left, ok := s.usable(value, g.life.Val()); ok {
			each(g.at, value, left)
		}
	}
}
