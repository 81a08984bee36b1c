package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// Append adds a message to a stream, as its field "change", and drops the oldest beyond
// about most. The stream's name is taken as it is, without the prefix: others read it.
func (s *Store) Append(ctx context.Context, stream string, message []byte, most int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.client.XAdd(ctx, &goredis.XAddArgs{Stream: stream, MaxLen: most, Approx: true, Values: []any{"change", message}}).Err()
	if err != nil {
		return fmt.Errorf("add to stream %s of Redis: %w", stream, err)
	}
	return nil
}
